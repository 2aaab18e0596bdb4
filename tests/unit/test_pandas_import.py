"""Commands do without pandas, and what needs it finds it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import json, sys
from include.medallion.config.pipeline import Pipeline
from include.medallion.ops.shell.pandas_import import spare_pandas
spare_pandas(Pipeline.model_validate(json.loads(sys.argv[1])))
import pyarrow as pa
values = pa.array([1, None]), pa.scalar("a")
loaded = "pandas" in sys.modules
frame = pa.table({"x": values[0]}).to_pandas()
print(json.dumps([loaded, frame["x"].isna().tolist(), pa.array(frame["x"]).to_pylist()]))
"""
PLAIN = {"name": "one", "source": {"table": "one", "key": "id"}, "gold": {"table": "one"}}
WITH_FUNCTION = {"function": {"call": "json:dumps", "keys": ["a"], "returns": {"b": "string"}}}


@pytest.mark.parametrize(
    ("settings", "loaded"), [(PLAIN, False), ({**PLAIN, "enrich": [WITH_FUNCTION]}, True)], ids=["plain", "function"]
)
def test_pandas_is_imported_only_for_functions_of_the_user(settings, loaded):
    """Values are converted without pandas; a conversion to a data frame imports it, and a Series is then read right."""
    command = [sys.executable, "-c", PROGRAM, json.dumps(settings)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert json.loads(said) == [loaded, [False, True], [1.0, None]]
