"""The write-ahead log of the source: which keys changed. What the rows are now is read from the table, by key."""
