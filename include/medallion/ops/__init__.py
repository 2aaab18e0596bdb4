"""
Operations across all sinks of a pipeline, beside its runs: reconcile and maintenance.

May import every other package. Iterates over sinks and names none of them.
"""
