"""Which representation is better, and how sure are we."""
