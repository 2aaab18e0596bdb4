"""
What the next run of a pipeline would read, change and pay, without changing anything.

- `report`: what a plan consists of; pure. `text`: a plan as lines; pure.
- `source`, `sinks`, `lookups`: what is asked of each place. `gather` joins them.
"""
