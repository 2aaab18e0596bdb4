"""Checks of pipeline files and of the environment: every mistake has a message with file, field and fix."""
