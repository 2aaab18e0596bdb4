"""Functions of a user's own, right and wrong."""

import pyarrow as pa

from include.medallion.errors import ProviderRefused, Transient


def describe(keys: pa.Table) -> pa.Table:
    """Describe each key and its types: text in, text out."""
    types = ",".join(str(t) for t in keys.schema.types)
    texts = [f"{types}: {tuple(row.values())}" for row in keys.to_pylist()]
    return pa.table({"described": texts, "length": [len(t) for t in texts]})


def as_dict(keys):
    """Return plain lists by name."""
    return {"described": ["x"] * keys.num_rows, "length": [None] * keys.num_rows}


def lacks_a_column(keys):
    """Forget a column."""
    return pa.table({"described": ["x"] * keys.num_rows})


def of_another_type(keys):
    """Return text that is no number where a number was promised."""
    return {"described": ["x"] * keys.num_rows, "length": ["private"] * keys.num_rows}


def too_large(keys):
    """Return a number that no column holds."""
    return {"described": ["x"] * keys.num_rows, "length": [2**70] * keys.num_rows}


def too_few(keys):
    """Leave a key out."""
    return {"described": ["x"] * (keys.num_rows - 1), "length": [1] * (keys.num_rows - 1)}


def nothing(_keys):
    """Forget to return."""


def fails(_keys):
    """Fail as a user's code does."""
    raise RuntimeError("the service is down")


ASKED: list[list[tuple]] = []
"""Keys of each call to `counts`, since a test has cleared it."""


def counts(keys: pa.Table) -> dict:
    """Remember what it was asked for."""
    rows = [tuple(row.values()) for row in keys.to_pylist()]
    ASKED.append(rows)
    return {"described": [str(row) for row in rows], "length": [len(str(row)) for row in rows]}


def refuses_sevens(keys: pa.Table) -> dict:
    """Have nothing to do with the number seven."""
    found = counts(keys)
    return {**found, "_refused": [value == 7 for value in keys.columns[0].to_pylist()]}


def fails_twice(keys: pa.Table) -> dict:
    """Fail in a way that may pass, two times."""
    found = counts(keys)
    if len(ASKED) <= 2:
        raise Transient("busy", retry_after=0)
    return found


def is_refused(keys: pa.Table) -> dict:
    """Fail as a provider that refuses the API key."""
    counts(keys)
    raise ProviderRefused("the directory refused the key: set DIRECTORY_KEY")


def other(keys: pa.Table) -> dict:
    """Answer under another name."""
    return {"other": counts(keys)["described"]}
