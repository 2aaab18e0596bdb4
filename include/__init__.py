"""What the DAGs run: the core (`medallion`), the pipelines, the sandbox."""
