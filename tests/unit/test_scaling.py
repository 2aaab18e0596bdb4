"""Limits in docs/scaling.md that can be checked without measuring."""

from __future__ import annotations

import re
from pathlib import Path

from airflow.configuration import conf

from benchmarks import scaling_trials
from include.medallion.config.sections.tables import Parts

PAGE = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text()


def test_what_xcom_carries_is_what_the_page_says():
    """The references that tasks return have the sizes of the table."""
    found = [re.findall(r"\d+", line.replace(",", "")) for line in scaling_trials.xcom()]
    table = PAGE.split("| XCom, by parts |")[1].split("\n\n")[0].splitlines()[2:]
    assert [re.findall(r"\d+", line.replace(",", "")) for line in table] == found


def test_no_pipeline_can_have_more_parts_than_airflow_maps():
    """The largest number of parts is Airflow's own limit, as the page says."""
    most = next(m.le for m in Parts.model_fields["max_parts"].metadata if hasattr(m, "le"))
    assert most == conf.getint("core", "max_map_length") == 1024
    assert "`max_map_length`, 1,024" in PAGE
