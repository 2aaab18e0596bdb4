"""
The Snowflake sink.

Owns the Silver table, the ledger `_MEDALLION_BATCHES`, staging tables and the statements in `sql/`. May import
`staging`, `config`, `lake` and `model`; not another sink.
"""
