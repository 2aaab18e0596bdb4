"""
Enrichment of one part: look up its distinct keys, join its rows with the answers, and set invalid rows aside.

- `registry`: opens the enrichments of a pipeline, with `geocoding` and `functions`.
- `part`: enriches one staged part; `join` and `rows` do it for some rows.
- `expiry`: finds rows whose look-ups must be refreshed, and refreshes them.

May import `lookups`, `geocoders`, `staging`, `config`, `lake`, `model` and `errors`. It does not import `bronze`,
`quarantine`, `silver` or `gold`.
"""
