"""DDL for `test_any_history`: every kind of change of a table, drawn at random from what the catalogue holds now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import psycopg

SETUP = [
    "CREATE TYPE mood AS ENUM ('sad', 'happy', 'calm')",
    "CREATE TYPE pair AS (a int, b text)",
    "CREATE DOMAIN moods AS mood[]",
]
KEYS = ("id", "row_id", "Id")  # names that the key may have
KEY_TYPES = ("integer", "bigint", "numeric(20,0)", "text")
NAMES = ("a", "b", "c", "d", "B", "d e")
NUMBERS = ("smallint", "integer", "bigint", "numeric(10,2)", "numeric(12,4)", "numeric", "double precision", "real")
TYPES = (
    *NUMBERS,
    *("text", "character varying(20)", "mood", "moods", "pair", "boolean", "date", "bytea"),
    *("timestamp without time zone", "timestamp with time zone"),
)
DAY_TYPES = ("date", "timestamp without time zone", "text")
FIXED = {"n", "postcode", "day"}
WEIGHTS = {
    "add": 6,
    "add_with_default": 5,
    "add_with_forgotten_default": 2,
    "add_generated": 3,
    "change_expression": 3,
    "rename": 5,
    "swap": 2,
    "drop": 5,
    "drop_and_add": 4,
    "retype": 7,
    "rename_label": 4,
    "swap_labels": 1,
    "add_label": 2,
    "add_attribute": 1,
    "rename_key": 2,
    "retype_key": 3,
    "retype_day": 2,
    "change_nullability": 2,
    "exclude": 2,
    "include": 2,
    "replace_rows": 2,
    "rewrite": 1,
}


@dataclass(frozen=True)
class SourceColumn:
    """A column as the catalogue has it."""

    name: str
    type: str
    generated: str
    required: bool

    @property
    def quoted(self):
        """Its name in a statement."""
        return '"' + self.name + '"'


def columns_of(connection):
    """Return the columns of the table."""
    found = connection.execute(
        """SELECT attname, format_type(atttypid, atttypmod), attgenerated::text, attnotnull FROM pg_attribute
           WHERE attrelid = 'rows'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""
    )
    return [SourceColumn(*row) for row in found]


def labels_of(connection):
    """Return the labels of the enum."""
    found = connection.execute("SELECT enumlabel FROM pg_enum WHERE enumtypid = 'mood'::regtype ORDER BY enumsortorder")
    return [row[0] for row in found]


def attributes_of(connection):
    """Return the number of attributes of the composite type."""
    query = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'pair'::regclass AND attnum > 0 AND NOT attisdropped"
    return connection.execute(query).fetchone()[0]


def value_of(connection, type_, n):
    """Return a value of a type as text, another one for each n."""
    if type_ in {"mood", "moods"}:
        labels = labels_of(connection)
        return labels[n % len(labels)] if type_ == "mood" else "{" + ",".join(labels[: n % len(labels) + 1]) + "}"
    if type_ == "pair":
        return f"({n},x" + "," * (attributes_of(connection) - 2) + ")"
    moment = datetime(2024, 2, 29, 12, tzinfo=UTC) + timedelta(hours=n, microseconds=n * 1000)
    return {
        "smallint": str(n % 1000),
        "boolean": str(n % 2 == 0),
        "date": str(date(2020, 1, 1) + timedelta(days=n)),
        "timestamp without time zone": moment.replace(tzinfo=None).isoformat(),
        "timestamp with time zone": moment.isoformat(),
        "bytea": "\\x" + f"{n:08x}",
        "double precision": str(n / 8),
        "real": str(n / 8),
        "numeric": str(Decimal(n) / 8),
        "numeric(10,2)": str(Decimal(n) / 4),
        "numeric(12,4)": str(Decimal(n) / 8),
    }.get(type_, str(n))


class Schema:
    """
    Draws changes of the table; each is a list of statements for one transaction, and what the pipeline file says then.

    Args:
        connection: to the source.
        draw: source of random numbers.
    """

    def __init__(self, connection, draw):
        self.connection, self.draw = connection, draw
        self.n = 0

    def change(self, columns, key):
        """
        Draw a change.

        Args:
            columns: block `columns` of the pipeline file.
            key: name of the key column.

        Returns:
            The statements, the new block and the new key; no statements if such a change is impossible now.
        """
        self.table, self.columns, self.key = columns_of(self.connection), dict(columns), key
        self.n += 1
        verb = self.draw.choices(list(WEIGHTS), WEIGHTS.values())[0]
        return verb, getattr(self, f"_{verb}")(), self.columns, self.key

    def _extra(self, *, generated=False):
        """Choose a column that may be changed."""
        some = [c for c in self.table if c.name not in {self.key, *FIXED} and bool(c.generated) is generated]
        return self.draw.choice(some) if some else None

    def _free(self):
        names = {c.name.upper() for c in self.table} | {name.upper() for name in self._excluded()}
        free = [name for name in NAMES if name.upper() not in names]
        return self.draw.choice(free) if free else None

    def _excluded(self):
        return self.columns.get("exclude", [])

    def _add(self, more=""):
        name, type_ = self._free(), self.draw.choice(TYPES)
        return [f'ALTER TABLE rows ADD COLUMN "{name}" {type_} {more}'] if name else []

    def _default(self, type_):
        value = value_of(self.connection, type_, 7 * self.n + 1)
        return f"DEFAULT '{value}'::{type_}"

    def _add_with_default(self):
        name, type_ = self._free(), self.draw.choice(TYPES)
        if not name:
            return []
        must = self.draw.choice(["NOT NULL", ""])
        return [f'ALTER TABLE rows ADD COLUMN "{name}" {type_} {must} {self._default(type_)}']

    def _add_with_forgotten_default(self):
        """Add a column with a default that the catalogue does not show any more."""
        name, type_ = self._free(), self.draw.choice(TYPES)
        if not name:
            return []
        return [
            f'ALTER TABLE rows ADD COLUMN "{name}" {type_} {self._default(type_)}',
            f'ALTER TABLE rows ALTER "{name}" DROP DEFAULT',
            "VACUUM FULL rows",
        ]

    def _add_generated(self):
        name, kind = self._free(), self.draw.choice(["VIRTUAL", "VIRTUAL", "STORED"])
        if not name:
            return []
        return [f'ALTER TABLE rows ADD COLUMN "{name}" int GENERATED ALWAYS AS (n % 100 * {self.n}) {kind}']

    def _change_expression(self):
        column = self._extra(generated=True)
        return [f"ALTER TABLE rows ALTER {column.quoted} SET EXPRESSION AS (n % 100 + {self.n})"] if column else []

    def _rename(self):
        column, name = self._extra(), self._free()
        if not column or not name:
            return []
        if column.name in self._excluded():
            self.columns["exclude"] = [name if c == column.name else c for c in self._excluded()]
        return [f'ALTER TABLE rows RENAME {column.quoted} TO "{name}"']

    def _swap(self):
        some = [c for c in self.table if c.name not in {self.key, *FIXED, *self._excluded()} and not c.generated]
        if len(some) < 2:
            return []
        one, other = self.draw.sample(some, 2)
        return [
            f"ALTER TABLE rows RENAME {one.quoted} TO t",
            f"ALTER TABLE rows RENAME {other.quoted} TO {one.quoted}",
            f"ALTER TABLE rows RENAME t TO {other.quoted}",
        ]

    def _drop(self):
        column = self._extra() or self._extra(generated=True)
        if not column:
            return []
        self._forget(column)
        return [f"ALTER TABLE rows DROP {column.quoted}"]

    def _drop_and_add(self):
        column = self._extra()
        if not column:
            return []
        type_ = self.draw.choice([column.type, *TYPES])
        more = self.draw.choice(["", self._default(type_)])
        return [
            f"ALTER TABLE rows DROP {column.quoted}",
            f"ALTER TABLE rows ADD COLUMN {column.quoted} {type_} {more}",
        ]

    def _forget(self, column):
        self.columns["exclude"] = [name for name in self._excluded() if name != column.name]

    def _retype(self):
        column = self._extra()
        if not column:
            return []
        if column.type in NUMBERS and self.draw.random() < 0.7:
            type_ = self.draw.choice(NUMBERS)
            using = f"({column.quoted}::numeric % 1000)::{type_}"
        else:
            type_ = self.draw.choice(TYPES)
            using = f"'{value_of(self.connection, type_, 7 * self.n + 2)}'::{type_}"
            if type_ in {"text", "character varying(20)"}:
                using = f"left({column.quoted}::text, 20)"
        return [
            f"ALTER TABLE rows ALTER {column.quoted} DROP DEFAULT",
            f"ALTER TABLE rows ALTER {column.quoted} TYPE {type_} USING {using}",
        ]

    def _rename_label(self):
        label = self.draw.choice(labels_of(self.connection))
        new = self.draw.choice([f"{label}2", f"l{self.n}"])
        return [f"ALTER TYPE mood RENAME VALUE '{label}' TO '{new}'"]

    def _swap_labels(self):
        one, other = self.draw.sample(labels_of(self.connection), 2)
        return [
            f"ALTER TYPE mood RENAME VALUE '{one}' TO 't'",
            f"ALTER TYPE mood RENAME VALUE '{other}' TO '{one}'",
            f"ALTER TYPE mood RENAME VALUE 't' TO '{other}'",
        ]

    def _add_label(self):
        place = self.draw.choice(["", f"BEFORE '{labels_of(self.connection)[0]}'"])
        return [f"ALTER TYPE mood ADD VALUE 'new {self.n}' {place}"]

    def _add_attribute(self):
        return [f"ALTER TYPE pair ADD ATTRIBUTE c{self.n} int"]

    def _rename_key(self):
        old, self.key = self.key, self.draw.choice([name for name in KEYS if name != self.key])
        return [f'ALTER TABLE rows RENAME "{old}" TO "{self.key}"']

    def _retype_key(self):
        type_ = self.draw.choice(KEY_TYPES)
        return [f'ALTER TABLE rows ALTER "{self.key}" TYPE {type_} USING "{self.key}"::{type_}']

    def _retype_day(self):
        type_ = self.draw.choice(DAY_TYPES)
        return [f"ALTER TABLE rows ALTER day TYPE {type_} USING day::{type_}"]

    def _change_nullability(self):
        column = self._extra()
        how = self.draw.choice(["SET NOT NULL", "DROP NOT NULL"])
        return [f"ALTER TABLE rows ALTER {column.quoted} {how}"] if column else []

    def _exclude(self):
        column = self._extra()
        if not column or column.name in self._excluded():
            return []
        self.columns["exclude"] = [*self._excluded(), column.name]
        return ["SELECT 'a change of the pipeline file'"]

    def _include(self):
        if not self._excluded():
            return []
        self.columns["exclude"] = []
        return ["SELECT 'a change of the pipeline file'"]

    def _replace_rows(self):
        stored = ", ".join(c.quoted for c in self.table if not c.generated)
        return [
            "CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM rows",
            "TRUNCATE rows",
            f"INSERT INTO rows ({stored}) SELECT {stored} FROM kept",
        ]

    def _rewrite(self):
        return ["VACUUM FULL rows"]


def execute(connection, statements):
    """
    Run a change in one transaction, VACUUM in its own.

    Returns:
        Why it could not be made: a lock, or values that do not fit; None if it was made.
    """
    try:
        with connection.transaction():
            for statement in statements:
                if not statement.startswith(("VACUUM", "ALTER TYPE mood ADD")):
                    connection.execute(statement)
        for statement in statements:
            if statement.startswith(("VACUUM", "ALTER TYPE mood ADD")):
                connection.execute(statement)
    except psycopg.Error as e:
        return type(e).__name__
    return None
