"""What a schema means for a run: the plan, the recorded schemas, the source as the pipeline sees it."""
