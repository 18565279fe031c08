"""How networks are learned: sound on disk -> batches -> one loop for every objective."""
