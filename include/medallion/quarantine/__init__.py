"""
Rows that no sink can hold: kept with a reason in a Delta table, and read again on request.

Owns the table `quarantine`. May import `staging`, `config`, `lake` and `model`.
"""
