"""Distinct keys of batches, and the part that each goes to."""

import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from include.medallion.model.keys import KeyIndex, composite_key, encode_keys, partition_of, partition_rows

TEXTS = st.one_of(st.none(), st.text("1-\x1f\u00e9", max_size=3))  # few, so that keys meet and joined texts are alike
ROWS = st.lists(st.tuples(TEXTS, st.one_of(st.none(), st.integers(-1, 11)), TEXTS), max_size=60)
KEY = ["a", "b", "c"]


def batch(rows):
    """Return rows of (text, number, text) as a record batch that numbers them."""
    columns = zip(
        KEY, zip(*rows, strict=True) if rows else ((), (), ()), (pa.string(), pa.int32(), pa.string()), strict=True
    )
    arrays = {name: pa.array(values, type_) for name, values, type_ in columns}
    return pa.RecordBatch.from_pydict({**arrays, "row": pa.array(range(len(rows)), pa.int64())})


def whole(columns):
    """Take keys as they are; a row of NULLs has none."""
    return [whole_row(row) for row in zip(*(column.to_pylist() for column in columns), strict=True)]


def whole_row(values):
    """Take one key as it is."""
    return None if all(value is None for value in values) else values


@settings(deadline=None)
@given(ROWS)
def test_rows_get_one_number_exactly_if_their_keys_are_one(rows):
    """Equal keys have equal numbers, different ones different numbers, no key none; NULL is not the empty text."""
    known = KeyIndex()
    numbers = encode_keys(batch(rows), KEY, whole, known).to_pylist()
    by_number = {n: key for key, n in known.numbers.items()}
    assert [by_number.get(n) for n in numbers] == [whole_row(row) for row in rows]


@settings(deadline=None)
@given(ROWS, ROWS)
def test_a_later_batch_knows_the_keys_of_an_earlier_one(first, second):
    """Numbers of keys met before stay what they were."""
    known = KeyIndex()
    encode_keys(batch(first), KEY, whole, known)
    before = dict(known.numbers)
    encode_keys(batch(second), KEY, whole, known)
    assert {key: known.numbers[key] for key in before} == before
    assert set(known.numbers) == {whole_row(row) for row in first + second} - {None}


def test_texts_that_join_to_the_same_are_different_keys():
    """A value that holds the separator of joined texts is not taken for two values."""
    known = KeyIndex()
    encode_keys(batch([("1\x1f1", 1, ""), ("1", 1, "1\x1f1\x1f"), ("1\x1f1\x1f1", 1, "")]), ["a", "c"], whole, known)
    encode_keys(batch([("1\x1f", 1, "1"), ("1", 1, "\x1f1")]), ["a", "c"], whole, known)
    assert len(known) == 5


def test_keys_that_are_normalised_alike_are_one():
    """What the normaliser makes equal is looked up once."""
    known = KeyIndex()
    numbers = encode_keys(
        batch([("ab", 1, ""), ("AB", 2, ""), (None, 3, "")]),
        ["a"],
        lambda columns: [text and (text.upper(),) for text in columns[0].to_pylist()],
        known,
    )
    assert numbers.to_pylist() == [0, 0, None]
    assert known.numbers == {("AB",): 0}


def test_zero_is_one_key_whatever_its_sign():
    """What is equal as a number is one key, in one batch and in two, and an answer kept for it is found again."""
    known = KeyIndex()
    for zeros in ([0.0, -0.0], [-0.0], [0.0]):
        assert encode_keys(pa.table({"a": zeros}), ["a"], whole, known).to_pylist() == [0] * len(zeros)
    assert composite_key([pa.array([-0.0])]) == composite_key([pa.array([0.0])])


def test_more_spellings_than_are_remembered_are_still_numbered():
    """Keys beyond those that are remembered by their spelling have one number too."""
    known, texts = KeyIndex(), [str(n) for n in range(150_000)]
    first, second = (encode_keys(pa.table({"a": texts}), ["a"], whole, known) for _ in range(2))
    assert first.to_pylist() == second.to_pylist() == list(range(150_000))


def test_threads_may_share_the_keys():
    """Threads that meet the same keys in different orders agree on a number for each, and leave none out."""
    known = KeyIndex()

    def work(start):
        orders = [[str((start + step * n) % 997) for n in range(997)] for step in (1, 2, 3, 5)]
        return [(texts, encode_keys(pa.table({"a": texts}), ["a"], whole, known).to_pylist()) for texts in orders]

    with ThreadPoolExecutor(8) as pool:
        for texts, numbers in chain.from_iterable(pool.map(work, range(0, 997, 25))):
            assert numbers == [known.numbers[text,] for text in texts]
    assert sorted(known.numbers.values()) == list(range(997))


@settings(deadline=None)
@given(ROWS, st.integers(1, 12))
def test_a_split_keeps_every_row_and_puts_each_key_into_one_part(rows, parts):
    """No row is lost or doubled, however many parts; no key is in two of them; every part named exists and has rows."""
    known, given_rows = KeyIndex(), batch(rows)
    pieces = partition_rows(given_rows, encode_keys(given_rows, KEY, whole, known), known, parts) if rows else []
    assert sorted(n for _, piece in pieces for n in piece["row"].to_pylist()) == list(range(len(rows)))
    where = defaultdict(set)
    for part, piece in pieces:
        assert 0 <= part < parts
        assert piece.num_rows
        for row in piece["row"].to_pylist():
            where[whole_row(rows[row])].add(part)
    assert all(len(found) == 1 for key, found in where.items() if key is not None)


@settings(deadline=None)
@given(ROWS, ROWS, st.integers(1, 12))
def test_a_key_goes_to_one_part_in_every_batch(first, second, parts):
    """The rows of one key are together also if they come in different batches of the stream."""
    known, where = KeyIndex(), defaultdict(set)
    for rows in filter(None, (first, second)):
        given_rows = batch(rows)
        for part, piece in partition_rows(given_rows, encode_keys(given_rows, KEY, whole, known), known, parts):
            for row in piece["row"].to_pylist():
                where[whole_row(rows[row])].add(part)
    assert all(len(found) == 1 for key, found in where.items() if key is not None)


def test_rows_without_a_key_are_spread():
    """A table that is mostly without postcodes does not end in one part."""
    rows = batch([(None, None, None)] * 100)
    pieces = partition_rows(rows, encode_keys(rows, KEY, whole, KeyIndex()), KeyIndex(), 4)
    assert [(part, piece.num_rows) for part, piece in pieces] == [(0, 25), (1, 25), (2, 25), (3, 25)]


def test_a_key_goes_to_the_same_part_in_every_process():
    """The part is no matter of Python's random hashes: a retry on another machine agrees."""
    keys = [("US", str(code)) for code in range(50)]
    code = f"from include.medallion.model.keys import partition_of; print([partition_of(k, 7) for k in {keys!r}])"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": s, "PYTHONPATH": "."},
        ).stdout
        for s in ("1", "2")
    }
    assert found == {f"{[partition_of(k, 7) for k in keys]}\n"}


def test_keys_are_spread_over_the_parts():
    """A thousand postcodes leave no part idle and fill none with a third of all."""
    counts = [0] * 10
    for code in range(1000):
        counts[partition_of(("US", f"{code:05}"), 10)] += 1
    assert min(counts) > 50
    assert max(counts) < 200
