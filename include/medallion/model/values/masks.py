"""
Masks: what replaces the values of a column before anything is staged.

All masks but HMAC are SQL, so that PostgreSQL sends nothing but the masked value. An HMAC is computed here, directly
after reading: in SQL its key would be in the server's logs. A masked value is text, made from the text of the value as
PostgreSQL prints it; NULL stays NULL.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from enum import StrEnum

import pyarrow as pa

_CHECKED = b"medallion mask key"


class MaskKind(StrEnum):
    """Kinds of masks, as the pipeline file names them."""

    NULL = "null"
    SHA256 = "sha256"
    HMAC = "hmac"
    FIRST_N = "first_n"
    KEEP_DOMAIN = "keep_domain"


@dataclass(frozen=True, slots=True)
class Mask:
    """
    How the values of one column are masked.

    Args:
        length: characters that `first_n` keeps.
        key: of an HMAC.
    """

    kind: MaskKind
    length: int = 0
    key: bytes = field(default=b"", repr=False)

    def __str__(self) -> str:
        """
        Return what identifies the mask: its kind and parameter; of a key 32 bits that a new key changes.

        >>> str(Mask(MaskKind.FIRST_N, 3))
        'first_n 3'
        """
        if self.kind is MaskKind.HMAC:
            return f"hmac {hmac.digest(self.key, _CHECKED, 'sha256')[:4].hex()}"
        return f"first_n {self.length}" if self.kind is MaskKind.FIRST_N else str(self.kind)

    @property
    def is_sql(self) -> bool:
        """Whether PostgreSQL computes it."""
        return self.kind is not MaskKind.HMAC

    @property
    def keeps_type(self) -> bool:
        """Whether the column keeps its type; otherwise it becomes text."""
        return self.kind is MaskKind.NULL


def mask_sql(mask: Mask, value: str) -> str:
    """
    Return the SQL expression of a masked value; for an HMAC, the value itself.

    Args:
        value: SQL expression that reads the value: as text, unless the mask keeps the type.
    """
    return _SQL[mask.kind].format(value=value, length=mask.length)


_SQL = {
    # a CASE that never reads the value has its type, also where NULL cannot be cast to it (a domain)
    MaskKind.NULL: "CASE WHEN false THEN {value} END",
    MaskKind.SHA256: (
        "pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to({value}, 'UTF8')), 'hex')"  # PostgreSQL 11
    ),
    MaskKind.HMAC: "{value}",
    MaskKind.FIRST_N: "pg_catalog.left({value}, {length})",
    MaskKind.KEEP_DOMAIN: "pg_catalog.substring({value}, '@([^@]*)$')",
}


def mask_values(mask: Mask | None, values: pa.Array) -> pa.Array:
    """Return values as they are staged: those of an HMAC column are masked here, others as they are read."""
    if mask is None or mask.is_sql:
        return values
    encoded = values.dictionary_encode()
    digests = [hmac.digest(mask.key, text.encode(), "sha256").hex() for text in encoded.dictionary.to_pylist()]
    return pa.array(digests, pa.string()).take(encoded.indices)
