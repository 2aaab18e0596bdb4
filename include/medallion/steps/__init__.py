"""
The steps of a run, one module each, in order: open_window, extract, enrich, apply (load_silver, write_gold), commit.

Owns what joins source, enrichment and sinks: options of a run, the list of sinks, the watermark, and what a run says of
itself (`summary`). May import everything but `ops`; iterates over sinks and names none of them, except in `sinks`.
"""
