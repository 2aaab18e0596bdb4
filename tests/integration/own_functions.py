"""Functions of a user's own, right and wrong."""

import pyarrow as pa


def describe(keys: pa.Table) -> pa.Table:
    """Tell each key and its types: text in, text out."""
    types = ",".join(str(t) for t in keys.schema.types)
    texts = [f"{types}: {tuple(row.values())}" for row in keys.to_pylist()]
    return pa.table({"told": texts, "length": [len(t) for t in texts]})


def as_dict(keys):
    """Return plain lists by name."""
    return {"told": ["x"] * keys.num_rows, "length": [None] * keys.num_rows}


def lacks_a_column(keys):
    """Forget a column."""
    return pa.table({"told": ["x"] * keys.num_rows})


def of_another_type(keys):
    """Return text that is no number where a number was promised."""
    return {"told": ["x"] * keys.num_rows, "length": ["private"] * keys.num_rows}


def too_large(keys):
    """Return a number that no column holds."""
    return {"told": ["x"] * keys.num_rows, "length": [2**70] * keys.num_rows}


def too_few(keys):
    """Leave a key out."""
    return {"told": ["x"] * (keys.num_rows - 1), "length": [1] * (keys.num_rows - 1)}


def nothing(_keys):
    """Forget to return."""


def fails(_keys):
    """Fail as a user's code does."""
    raise RuntimeError("the service is down")
