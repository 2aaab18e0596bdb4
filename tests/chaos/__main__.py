"""
Run the storm and print what it did: `python -m tests.chaos [--long]`.

Ends with 1 if anything was lost, doubled, brought back, misplaced, or paid for although the answer was staged.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import mkdtemp

from .deployment import deployed, discard, writing
from .storm import long, sail, short
from .table import closing, table


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--long", action="store_true", help="at least 200 kills over at least 100 000 rows")
    parser.add_argument("--only", help="one leg of the long storm, by its name")
    parser.add_argument("--rows", type=int, help="in the source at the start")
    parser.add_argument("--keep", action="store_true", help="keep the servers' logs and data")
    options = parser.parse_args()
    legs = [leg for leg in (long() if options.long else short()) if options.only in {None, leg.name}]
    rows, state = options.rows or (100_000 if options.long else 20_000), Path(mkdtemp(prefix="storm-"))
    with deployed(state, rows, say) as rig, writing(rig) as pause:
        sail(rig, pause, legs, say)
    print(*table(legs), *closing(rig, legs), sep="\n")
    if not options.keep:
        discard(state)
    sys.exit(any(leg.verdict.faults for leg in legs) or bool(rig.orders.failures))


def say(line: str) -> None:
    """Tell how it goes."""
    print(line, flush=True)


if __name__ == "__main__":
    main()
