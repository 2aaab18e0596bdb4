"""
The sections of a pipeline file, as pydantic models; `pipeline` has them as its fields.

- `lookup_settings`: what all sections inherit, and names.
- `tables`: the source, the sinks, the parts of a batch and the quarantine.
- `columns`, `expectations`, `schema_policies`: which columns flow, what is expected of them, what a change does.
- `enrichment`, `geocoding`: which columns are added.
"""
