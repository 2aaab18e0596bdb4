"""TODO."""

from include.medallion.lake.parquet.prefetch import prefetch
from include.medallion.lake.parquet.writer import Writer
