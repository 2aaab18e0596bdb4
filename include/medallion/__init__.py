"""
The core: rows of Postgres to Snowflake and Delta, as plain Python that never imports Airflow.

The packages, from the entry points down to what knows nothing of the rest; none imports one above it:

    page         what the page in Airflow shows of pipelines
    ops          reconcile and maintenance across sinks
    runs         what runs recorded of themselves
    steps        the steps of a run: open_window, extract, enrich, load_silver, write_gold, commit
    bronze       the source                         (these five do not import each other)
    enrich       columns computed from keys
    quarantine   rows that no sink can hold
    silver       the Snowflake sink
    gold         the Delta sink
    lookups      paid look-ups: cache, leases, rate limit, call budget, circuit breaker
    geocoders    providers of coordinates
    staging      batches in object storage, manifests, the Sink protocol
    config       pipeline files and connections
    lake         object storage, Parquet, Delta
    redaction    texts without secrets and personal data
    model        windows, columns, keys, validation: pure functions and data
    errors       every failure that the core raises on purpose
"""
