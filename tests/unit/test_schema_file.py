"""The JSON Schema that editors complete from is the one of the code."""

from __future__ import annotations

import json
from pathlib import Path

from include.medallion.config import files as pipeline_files

FILE = Path(__file__).parents[2] / "docs" / "pipeline.schema.json"


def test_the_schema_file_is_that_of_the_model():
    """`python -m include.medallion schema > docs/pipeline.schema.json` would change nothing."""
    assert json.loads(FILE.read_text()) == pipeline_files.json_schema()
