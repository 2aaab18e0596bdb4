"""Watching the source for changes, for `schedule: on_change`: asynchronous, since one process watches many tables."""
