"""
The lake: a root on object storage, or in a folder, and all that Medallion keeps below it.

The package owns access to the storage (`object_store`), Parquet files (`parquet`), Delta tables (`delta`, their
maintenance, and tables that several writers share) and the preview of a table. It may import `errors`, `model` and
`redaction`; it knows neither pipelines nor what the rows mean.
"""
