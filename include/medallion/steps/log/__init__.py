"""What `read: log` adds to a run: continue the log, read it, let the slot go on, and give slots up."""
