"""The page in Airflow's UI: a FastAPI application that only the api-server imports, and its static files."""
