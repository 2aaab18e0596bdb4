"""
The core: Postgres rows to Snowflake and Delta, as plain Python.

Data and connections go in, data comes out; nothing here imports Airflow. In
the order the data flows: `bronze` -> `parts` -> `enrichment` (`geocoders`,
`locations`) -> `silver` -> `gold` -> `reckoning` -> `watermark`.
"""
