"""Schemas of the source: what rows contain, and what a change of it means."""
