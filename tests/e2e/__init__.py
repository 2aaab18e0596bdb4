"""Tests on the whole of it: one real Airflow and all servers, shared by every file here."""
