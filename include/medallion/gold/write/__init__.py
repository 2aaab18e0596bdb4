"""Ways to write a batch into the Delta table: files that are added, files that are rewritten, rows that are matched."""
