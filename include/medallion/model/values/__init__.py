"""Values of rows: validated, masked, never changed."""
