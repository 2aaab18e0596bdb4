"""What docker-compose.yaml describes, run without containers."""
