"""
Keys of changed rows in messages of PostgreSQL's output plugin `pgoutput`, protocol version 1.

Only keys are decoded: values of other columns are skipped, so types, unchanged TOAST values and several versions of a
row need no handling (https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import Struct
from struct import error as struct_error
from typing import cast

_INT16, _INT32 = Struct(">H"), Struct(">I")
_BEGIN, _RELATION, _INSERT, _UPDATE, _DELETE, _TRUNCATE, _NEW = b"BRIUDTN"
_NOTHING = b"nu"  # NULL; a TOAST value that is unchanged
Key = tuple[str, ...]


class Undecodable(ValueError):
    """A message is malformed, or does not carry the key."""


class KeyCollector:
    """
    Collects the distinct keys of one table's changed rows, in the order in which they first appear.

    Args:
        relation: the table's oid.
        key: names of the key columns.
    """

    def __init__(self, relation: int, key: Sequence[str]) -> None:
        self.relation, self.key = relation, tuple(key)
        self.keys: dict[Key, None] = {}
        self.truncated = False
        self.transactions: set[int] = set()  # their ids, of 32 bits
        self._places: tuple[int, ...] = ()  # of the key columns in a row
        self._width = 0  # columns up to the last of them

    def feed(self, messages: Iterable[bytes]) -> None:
        """
        Decode messages.

        Raises:
            Undecodable: see the class.
        """
        for message in messages:
            try:
                self._decode(message)
            except Undecodable:
                raise
            except (IndexError, ValueError, struct_error) as e:
                raise Undecodable(type(e).__name__) from None

    def _decode(self, message: bytes) -> None:
        kind = message[0]
        if kind == _BEGIN:
            self.transactions.add(_INT32.unpack_from(message, 17)[0])
        elif kind == _RELATION:
            self._describe(message)
        elif kind == _TRUNCATE:
            count = _INT32.unpack_from(message, 1)[0]
            found = (_INT32.unpack_from(message, 6 + 4 * n)[0] for n in range(count))
            self.truncated |= self.relation in found
        elif kind in {_INSERT, _UPDATE, _DELETE} and _INT32.unpack_from(message, 1)[0] == self.relation:
            self._collect(message, 5, kind)

    def _collect(self, message: bytes, at: int, kind: int) -> None:
        """Collect the key of a row; of an updated one the old key too, if the message has it."""
        old: list[str | None] = []
        if kind != _INSERT and message[at] != _NEW:
            old, at = self._read_key(message, at + 1, _INT16.unpack_from(message, at + 1)[0])
            self._add(old, old)
        if kind != _DELETE:
            if message[at] != _NEW:
                raise Undecodable("no new row")
            self._add(self._read_key(message, at + 1, self._width)[0], old)

    def _add(self, key: list[str | None], old: list[str | None]) -> None:
        """Add a key; a part that is not sent because it is unchanged is that of the old key."""
        whole = tuple(part if part is not None else old[n] for n, part in enumerate(key)) if old else tuple(key)
        if not whole or None in whole:
            raise Undecodable("no key")
        self.keys[cast("Key", whole)] = None

    def _read_key(self, message: bytes, at: int, columns: int) -> tuple[list[str | None], int]:
        """Return the key's parts among a row's first columns, None where one is not sent, and where these end."""
        parts: dict[int, str | None] = dict.fromkeys(self._places)
        at += 2  # the number of columns
        for place in range(columns):
            if message[at] in _NOTHING:
                at += 1
                continue
            end = at + 5 + _INT32.unpack_from(message, at + 1)[0]
            if end > len(message):
                raise IndexError
            if place in parts:
                parts[place] = message[at + 5 : end].decode()
            at = end
        return [*parts.values()], at

    def _describe(self, message: bytes) -> None:
        """Find the key columns of the table, as it was when its next rows were written."""
        if _INT32.unpack_from(message, 1)[0] != self.relation:
            return
        at = message.index(0, message.index(0, 5) + 1) + 2  # behind namespace, name and replica identity
        count, at, names = _INT16.unpack_from(message, at)[0], at + 2, []
        for _ in range(count):
            end = message.index(0, at + 1)
            names.append(message[at + 1 : end].decode())
            at = end + 9
        if not {*self.key} <= {*names}:
            raise Undecodable("no key column")
        self._places = tuple(names.index(name) for name in self.key)
        self._width = max(self._places) + 1
