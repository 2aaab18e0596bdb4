"""What a run with nothing new cannot avoid: reading the table's transaction ids once."""

from __future__ import annotations

import json
import sys

import psycopg


def main(task: dict) -> dict:
    """Copy the rows of a window that is empty."""
    query = "COPY (SELECT * FROM employees WHERE age(xmin) BETWEEN -2 AND -1) TO STDOUT (FORMAT binary)"
    with psycopg.connect(task["source"]) as connection, connection.cursor() as cursor, cursor.copy(query) as copy:
        for _ in copy:
            pass
    return {"stages": {}, "look_ups": 0}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
