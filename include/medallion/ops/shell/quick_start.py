"""Start a command quickly: what is skipped, and chosen, while modules are imported."""

from __future__ import annotations

import gc
import os
import sys


def begin_imports() -> None:
    """
    Disable garbage collection until `end_imports`, and choose what libraries do when they are imported.

    To be called before the first import of a library, by a process that runs one command. What the environment says
    already is kept:

    - pydantic does not search for plugins; with the collection this saves 0.08 of 0.5 s
      (https://docs.pydantic.dev/latest/concepts/plugins/).
    - numpy's linear algebra, which this package does not use, has one thread; those of the other cores would spin for
      0.1 CPU-s (https://github.com/OpenMathLib/OpenBLAS/blob/develop/USAGE.md).
    - pyarrow allocates with jemalloc, which keeps 70 to 100 MB less than its default
      (https://arrow.apache.org/docs/cpp/env_vars.html#envvar-ARROW_DEFAULT_MEMORY_POOL).
    """
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if sys.platform == "linux":  # other builds of pyarrow may lack it, and say so
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")
    gc.disable()


def end_imports() -> None:
    """Collect garbage again, except among imported objects, which are never freed. No effect if it was not disabled."""
    if not gc.isenabled():
        gc.enable()
        gc.freeze()
