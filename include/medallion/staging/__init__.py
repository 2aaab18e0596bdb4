"""
Batches in object storage: where their files are, which of them are complete, and what a sink gets of them.

Owns the layout below `_staging/`, the manifests that say what is complete, the archive of earlier batches and the
`Sink` protocol. May import `config`, `lake` and `model`.
"""
