"""
Configuration: pipeline files, and connections from the environment.

- `files`: finds, reads and validates pipeline files; the models are `pipeline` and its `sections`.
- `connections`: source and sinks as environment variables describe them.

May import `lake`, `model` and `errors`.
"""
