"""What the sandbox raises when it cannot do its work."""


class SandboxError(Exception):
    """A server or a run failed; the message says which, why, and shows the log's end."""
