"""
What the page in Airflow shows of pipelines: read from the table `runs` and from pipeline files, never all of Gold.

Owns no table. Its functions return plain values that JSON can hold. May import all other packages.
"""
