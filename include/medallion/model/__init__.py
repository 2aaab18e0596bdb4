"""
The vocabulary of all layers, as pure functions and dataclasses without I/O.

- `window`: the transaction ids that one run reads, and the positions that sinks hold; `batch_id` names the batch.
- `columns`: columns, their types in every layer, and system columns.
- `keys`: distinct enrichment keys, and partitioning of rows by key.
- `validation`: valid rows and reasons for the quarantine.
- `counts`, `differences`: row counts of a batch, and results of a reconcile.

May import `errors` only.
"""
