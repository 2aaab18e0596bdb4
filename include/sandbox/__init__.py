"""
Real servers on this machine, started from packages: the default of a fresh clone.

Nothing here is needed in production. Every function takes the folder `state`
in which the sandbox keeps its data, logs, ports and secrets: two clones, or a
clone and its tests, run side by side.
"""
