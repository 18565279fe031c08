"""Big models, a file a family."""
