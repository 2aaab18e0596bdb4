"""Connections to PostgreSQL, and what their failures mean."""
