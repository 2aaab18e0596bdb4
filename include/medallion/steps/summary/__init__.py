"""What a run says of itself in the end: its row counts, what look-ups will cost, and keys without a result."""
