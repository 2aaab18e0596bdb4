"""
Inject faults into runs and print the result: `python -m tests.chaos [--long]`.

Exits with 1 if anything was lost, doubled, regressed, misplaced, or paid for although the answer was staged.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import mkdtemp

from .chaos_run import around_the_slot, changing, long, quick, run_phases
from .deployment import deployed, discard, writing
from .table import closing, table


def main() -> None:
    """Run the phases."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--long", action="store_true", help="at least 200 kills over at least 100 000 rows")
    parser.add_argument("--only", help="one phase, by its name")
    parser.add_argument("--rows", type=int, help="in the source at the start")
    parser.add_argument("--read", choices=("xmin", "log"), default="xmin", help="how the pipeline reads the source")
    parser.add_argument("--keep", action="store_true", help="keep the servers' logs and data")
    options = parser.parse_args()
    phases = long() if options.long else [*quick(), *changing()]
    phases += around_the_slot() if options.read == "log" else []
    phases = [phase for phase in phases if options.only in {None, phase.name}]
    rows, state = options.rows or (100_000 if options.long else 20_000), Path(mkdtemp(prefix="chaos-"))
    with deployed(state, rows, say, options.read) as cluster, writing(cluster) as pause:
        run_phases(cluster, pause, phases, say)
    print(*table(phases), *closing(cluster, phases), sep="\n")
    if not options.keep:
        discard(state)
    sys.exit(any(phase.verdict.faults for phase in phases) or bool(cluster.faults.failures))


def say(line: str) -> None:
    """Print a line of progress."""
    print(line, flush=True)


if __name__ == "__main__":
    main()
