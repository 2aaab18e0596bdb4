"""Places of the user's own: read from files of public postcode data, checked, and kept in a Delta table of the lake."""
