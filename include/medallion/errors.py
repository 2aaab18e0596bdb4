"""
Every failure that the core raises on purpose.

    MedallionError
    ├── Refused            a person must act; a retry cannot help
    │   ├── SettingError       a file or an environment variable is wrong
    │   ├── ContractBroken     source, staged data or sink is not what was agreed
    │   ├── SourceChanged      the source is not the one the sinks were filled from
    │   ├── ProviderRefused    a key, a right or an allowance was refused by a provider
    │   ├── QuarantineOverflow too large a share of a batch broke the contract
    │   ├── NeedsApproval      a person can approve what was refused
    │   │   ├── SchemaChanged      a change of the table's schema needs a decision
    │   │   └── TooManyDeletes     a reconcile would delete too large a share of a sink
    │   ├── ClockSkew          the clocks of a worker and of the source are too far apart
    │   └── SinkBehind         a sink lost batches: the window starts too late for it
    ├── Transient          may pass by itself; `retry_after` says when, if the other side did
    └── Unforeseen         a library failed; values that its message quotes are redacted

Messages name the setting and the fix. They never hold a secret or a row's values.
"""

from __future__ import annotations


class MedallionError(Exception):
    """Base of all failures that the core raises on purpose."""


class Refused(MedallionError):
    """A person must act: retrying gives the same answer."""


class SettingError(Refused):
    """A pipeline file, an environment variable or a connection is wrong."""


class ContractBroken(Refused):
    """Source, staged data or a sink is not what the pipeline was promised."""


class SourceChanged(Refused):
    """The source table is not the one that the sinks were filled from."""


class ProviderRefused(Refused):
    """A look-up provider refused the key, the right or the allowance."""


class NeedsApproval(Refused):
    """A person can approve what was refused."""

    def __init__(self, message: str, *, approval: dict[str, int | str] | None = None) -> None:
        """Keep the run parameters that approve exactly this; none if it cannot be approved."""
        super().__init__(message)
        self.approval = approval or {}


class SchemaChanged(NeedsApproval):
    """A change of the source table's schema needs a person's decision, or came while a run was starting."""


class QuarantineOverflow(Refused):
    """More of a batch broke the contract than `quarantine.max_share` allows."""


class TooManyDeletes(NeedsApproval):
    """A reconcile would delete more of a sink than `max_delete_share` allows."""


class ClockSkew(Refused):
    """The clocks of this worker and of the source are too far apart for a batch id, which is a time."""


class SinkBehind(Refused):
    """A sink holds less than the window assumes; the next run must start earlier."""

    def __init__(self, message: str, *, held: object) -> None:
        """Keep the `window.Position` that the sink really holds (None: nothing)."""
        super().__init__(message)
        self.held = held


class Transient(MedallionError):
    """The other side failed in a way that may pass."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        """Keep `retry_after`, the seconds the other side asked us to wait."""
        super().__init__(message)
        self.retry_after = retry_after


class Unforeseen(MedallionError):
    """A library failed unexpectedly; raised by `redaction.library_errors` only."""
