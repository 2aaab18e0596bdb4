"""
The source: one Postgres table, read by transaction id and staged.

Owns connections to Postgres, the horizon, the statements in `sql/`, the `extract` step's work and its checkpoint. May
import `staging`, `config`, `lake` and `model`; not the sinks, `enrich` or `quarantine`.
"""
