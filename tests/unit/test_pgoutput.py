"""Keys in messages of pgoutput, and what malformed messages lead to."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.medallion.bronze.log.pgoutput import KeyCollector, Undecodable

TABLE, OTHER = 16_400, 16_401


def relation(*columns, oid=TABLE):
    """Return a message that describes a table."""
    described = b"".join(b"\x01" + name.encode() + b"\0" + struct.pack(">Ii", 25, -1) for name in columns)
    return b"R" + struct.pack(">I", oid) + b"public\0people\0d" + struct.pack(">H", len(columns)) + described


def row(*values):
    """Return a row: a text, None for NULL, or `...` for a value that is not sent because it is unchanged."""
    parts = (
        b"n" if v is None else b"u" if v is ... else b"t" + struct.pack(">I", len(v.encode())) + v.encode()
        for v in values
    )
    return struct.pack(">H", len(values)) + b"".join(parts)


def change(kind, *parts, oid=TABLE):
    """Return a message of a changed row."""
    return kind + struct.pack(">I", oid) + b"".join(parts)


def keys(*messages, key=("id",)):
    """Return the keys in messages."""
    collector = KeyCollector(TABLE, key)
    collector.feed(messages)
    return [*collector.keys]


def test_each_kind_of_change_names_its_keys():
    """An update whose key changed names both keys; rows of other tables and other messages name none."""
    found = keys(
        b"B" + bytes(20),
        relation("id", "name"),
        relation("x", oid=OTHER),
        change(b"I", b"N", row("1", "a")),
        change(b"I", b"N", row("9"), oid=OTHER),
        change(b"U", b"N", row("2", ...)),
        change(b"U", b"K", row("3", None), b"N", row("4", "b")),
        change(b"U", b"O", row("5", "long"), b"N", row("5", ...)),
        change(b"D", b"K", row("6", None)),
        change(b"D", b"O", row("1", "a")),
        b"C" + bytes(25),
    )
    assert found == [("1",), ("2",), ("3",), ("4",), ("5",), ("6",)]


def test_the_key_is_found_wherever_its_columns_are():
    """Also once columns were moved in the middle of the log; an unchanged part is that of the old key."""
    found = keys(
        relation("name", "b", "a"),
        change(b"I", b"N", row("x", "2", "1")),
        relation("a", "b"),
        change(b"U", b"K", row("3", "4"), b"N", row("5", ...)),
        key=("a", "b"),
    )
    assert found == [("1", "2"), ("3", "4"), ("5", "4")]


def test_truncate_counts_only_for_this_table():
    """One message names several tables."""
    collector = KeyCollector(TABLE, ["id"])
    collector.feed([b"T" + struct.pack(">IBI", 1, 0, OTHER)])
    assert not collector.truncated
    collector.feed([b"T" + struct.pack(">IBII", 2, 0, OTHER, TABLE)])
    assert collector.truncated


@pytest.mark.parametrize(
    "messages",
    [
        [relation("other")],
        [change(b"I", b"N", row("1"))],
        [relation("id"), change(b"I", b"N", row(None))],
        [relation("id"), change(b"I", b"K", row("1"))],
        [relation("id"), change(b"D", b"K")],
        [relation("id"), change(b"I", b"N", row("12345"))[:-2]],
    ],
)
def test_a_message_without_the_key_is_no_change_to_skip(messages):
    """The run reads by transaction id instead."""
    with pytest.raises(Undecodable):
        keys(*messages)


MESSAGES = [
    relation("id", "b"),
    change(b"U", b"K", row("3", None), b"N", row("4", "b")),
    b"T" + struct.pack(">IBI", 1, 0, TABLE),
]


@given(st.sampled_from(MESSAGES), st.data())
def test_damaged_messages_never_fail_otherwise(message, data):
    """Cut short, or with other bytes in it: keys are collected, or the message is refused."""
    end = data.draw(st.integers(1, len(message)))
    damaged = bytearray(message[:end])
    for place in data.draw(st.lists(st.integers(0, end - 1), max_size=3)):
        damaged[place] = data.draw(st.integers(0, 255))
    collector = KeyCollector(TABLE, ["id"])
    collector.feed(MESSAGES[:1])
    try:
        collector.feed([bytes(damaged)])
    except Undecodable:
        return
    assert all(isinstance(part, str) for key in collector.keys for part in key)
