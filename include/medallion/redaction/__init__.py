"""
Redaction: error messages, tracebacks and Sentry events without secrets and personal data.

- `patterns`: replaces what looks like a secret or like personal data, and secrets known by value.
- `events`: rebuilds a Sentry event from fields that are known to be harmless.
- `tracebacks`: parses a printed traceback into types and places in code.
- `library_errors`: re-raises errors of third-party libraries without the data in their messages.

May import `errors` only.
"""
