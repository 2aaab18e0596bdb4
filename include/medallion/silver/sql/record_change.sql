-- The largest batch id of the table's rows, after a change that is no batch of the ledger.
UPDATE _MEDALLION_BATCHES
SET TABLE_BATCH_ID = (SELECT COALESCE(MAX(_BATCH_ID), 0) FROM {target})
WHERE PIPELINE = %(pipeline)s
    AND BATCH_ID = (SELECT MAX(BATCH_ID) FROM _MEDALLION_BATCHES WHERE PIPELINE = %(pipeline)s)
