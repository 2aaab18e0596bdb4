"""
Look-ups of enrichment keys: cached, leased, rate-limited, budgeted, and counted.

- `enrichment`: the description of an enrichment that everything here works on.
- `resolve`: answers the distinct keys of one part; the entry point. Its answers are `results`.
- `cache`, `leases`, `usage_ledger`: Delta tables shared by all tasks and pipelines of a lake.
- `calls`, `progress`, `limits`: the calls of one task.

May import `config`, `lake`, `model` and `errors`. It knows no geocoder and no step.
"""
