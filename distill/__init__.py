"""Big models taught to small ones."""
