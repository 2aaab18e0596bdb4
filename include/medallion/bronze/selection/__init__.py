"""Rows that a person or a reconcile chose to read again: by a condition, by a range of keys, or key by key."""
