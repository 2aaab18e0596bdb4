"""Compare values of the source and of the sinks: fingerprints, ranges of keys, and what differs. Pure."""
