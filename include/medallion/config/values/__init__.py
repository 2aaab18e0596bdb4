"""Settings of a pipeline file that decide what becomes of values."""
