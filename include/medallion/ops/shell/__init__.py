"""
Commands of the shell that are more than one call: what `python -m include.medallion` offers beside the steps.

`opened` is what every command does. May import everything but Airflow; only `__main__` and `onboarding` import it.
"""
