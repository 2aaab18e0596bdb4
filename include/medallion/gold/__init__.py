"""
The Delta sink.

Owns the Gold table: its commits, files, statistics and the transaction lines in its log. May import `staging`,
`config`, `lake` and `model`; not another sink.
"""
