"""`init` drafts pipeline files from a real catalog and real rows: they load, and a run with them succeeds."""

from __future__ import annotations

import psycopg
import pytest
import yaml

from include.medallion.config.files import load_file
from include.medallion.errors import SettingError
from include.medallion.onboarding.init import Order, draft_files

TABLES = """
CREATE SCHEMA sales;
CREATE TABLE customers (
    id int PRIMARY KEY, "Zip" text, email text, contact text, price numeric, took interval, "no" int);
INSERT INTO customers SELECT n, (ARRAY['98052','10001','60031','11377','94105','33101'])[n % 6 + 1],
    'a' || n || '@example.org', 'b' || n || '@example.org', 1.5, '1 day', n FROM generate_series(1, 60) AS n;
CREATE TABLE orders (
    a int, b int, ship_postcode text, ship_country text, bill_plz int, bill_country text, UNIQUE (b, a));
INSERT INTO orders SELECT n, n, '10115', 'Germany', 1000 + n, 'AT' FROM generate_series(1, 20) AS n;
CREATE TABLE people (id int PRIMARY KEY, postal_code text, latitude float8, country_id int);
INSERT INTO people SELECT n, 1000 + n, 1, n FROM generate_series(1, 20) AS n;
CREATE TABLE locations (id int PRIMARY KEY, name text);
CREATE TABLE sales.customers (id int PRIMARY KEY);
CREATE TABLE no_key (x int);
CREATE VIEW seen AS SELECT * FROM customers;
CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF parted FOR VALUES FROM (0) TO (9);
"""


@pytest.fixture
def drafted(bronze_dsn, tmp_path):
    """Lend a function that runs `init`; it returns what was printed for each table."""
    with psycopg.connect(bronze_dsn, autocommit=True) as connection:
        connection.execute(TABLES)
        connection.execute("ANALYZE")

    def draft(pattern, **order):
        folder = tmp_path / "pipelines"
        environ = {"AIRFLOW_CONN_MINE": bronze_dsn}
        first, *outcomes = draft_files(pattern, Order("mine", folder, **order), environ)
        return first, outcomes, folder

    return draft


def document(folder, name):
    """Return a written file, which loads."""
    load_file(folder / f"{name}.yaml")
    return yaml.safe_load((folder / f"{name}.yaml").read_text())


def commented(folder, name):
    """Return a written file with its comments of YAML as YAML."""
    lines = (folder / f"{name}.yaml").read_text().splitlines()
    kept = [line.removeprefix("# ") for line in lines if line.startswith("#  ") or line.endswith(":")]
    return yaml.safe_load("\n".join(kept))


def test_a_pattern_drafts_every_table_that_can_be_read(drafted):
    """Partitions belong to their table; views and tables without a key are skipped, with the reason."""
    first, outcomes, folder = drafted("public.*")
    assert "connection mine (AIRFLOW_CONN_MINE)" in first.lines[0]
    assert {one.pipeline for one in outcomes} - {""} == {"customers", "orders", "people", "public_locations", "parted"}
    assert len(list(folder.glob("*.yaml"))) == 5
    skipped = {one.lines[0] for one in outcomes if not one.pipeline}
    assert {line.split(": skipped: ")[0] for line in skipped} == {"public.no_key", "public.seen"}
    assert any("no primary key" in line for line in skipped)
    # postcodes that only their content gives a country
    assert document(folder, "customers") == {
        "source": {"connection": "mine", "table": "customers", "key": "id"},
        "enrich": {"geocode": {"postcode": "Zip", "country": "US"}},
        "silver": {"table": "CUSTOMERS"},
        "gold": {"table": "customers"},
    }
    assert commented(folder, "customers")["columns"]["mask"] == {"email": "keep_domain", "contact": "keep_domain"}
    text = (folder / "customers.yaml").read_text()
    assert "# - price is numeric without precision" in text
    assert "# - took is interval" in text
    # two postcodes, each with the country beside it, one of them a number
    made = document(folder, "orders")
    assert made["source"]["key"] == ["b", "a"]
    assert [list(one["geocode"].values()) for one in made["enrich"]] == [
        ["ship_postcode", "ship_country", "ship_"],
        ["bill_plz", "bill_country", "bill_"],
    ]
    assert "# restore_leading_zeros: true" in (folder / "orders.yaml").read_text()
    # four digits that fit several countries, beside a number that is no country: a person must say
    assert "enrich" not in document(folder, "people")
    assert "country: ..." in (folder / "people.yaml").read_text()
    assert "prefix: geo_" in (folder / "people.yaml").read_text()
    # a reserved name
    assert document(folder, "public_locations")["gold"]["table"] == "public_locations"


def test_a_file_is_never_replaced_unasked(drafted):
    """What a person wrote stays; `force` replaces it, `name` writes another."""
    _, _, folder = drafted("customers")
    (folder / "customers.yaml").write_text("mine")
    _, (kept,), _ = drafted("public.customers")
    assert (kept.pipeline, (folder / "customers.yaml").read_text()) == ("", "mine")
    assert "--force" in kept.lines[0]
    assert drafted("customers", name="clients")[1][0].pipeline == "clients"
    drafted("customers", force=True)
    assert document(folder, "customers")["gold"]["table"] == "customers"


def test_shared_settings_make_short_files(drafted):
    """What `_defaults.yaml` says is not repeated; the file of a simple table is its key."""
    _, _, folder = drafted("locations")
    shared = 'source: {connection: mine, schema: sales, table: "{name}"}\ngold: {table: "{name}"}\n'
    (folder / "_defaults.yaml").write_text(shared + 'silver: {table: "{name}"}\n')
    drafted("sales.customers", name="customers")
    assert document(folder, "customers") == {"source": {"key": "id"}}
    assert load_file(folder / "customers.yaml").source.schema_ == "sales"


def test_a_table_that_is_not_there_is_refused_with_similar_names(drafted):
    """The message names the tables that there are."""
    with pytest.raises(SettingError, match=r"no table matches public\.Customer: .*'customers'"):
        drafted("Customer")


def test_no_value_is_printed(drafted):
    """What is printed holds names of columns and counts, never what is in them."""
    _, outcomes, folder = drafted("*")
    printed = "\n".join(line for one in outcomes for line in one.lines)
    texts = [file.read_text() for file in folder.glob("*.yaml")]
    assert not any(value in text for text in [printed, *texts] for value in ("98052", "example.org", "10115"))
