-- Old rows of the ledger; never the pipeline's newest, which says what its table holds.
DELETE FROM _MEDALLION_BATCHES
WHERE PIPELINE = %(pipeline)s
    AND BATCH_ID < %(before)s
    AND BATCH_ID < (SELECT MAX(BATCH_ID) FROM _MEDALLION_BATCHES WHERE PIPELINE = %(pipeline)s)
