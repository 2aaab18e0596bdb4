INSERT INTO _MEDALLION_BATCHES (
    PIPELINE, BATCH_ID, MODE, SOURCE, AFTER_XID, UPTO_XID,
    ROWS_READ, ROWS_INSERTED, ROWS_UPDATED, ROWS_SUPERSEDED, APPLIED_AT, SCHEMA_ID, TABLE_BATCH_ID
)
SELECT
    %(pipeline)s, %(batch_id)s, %(mode)s, %(source)s, %(after)s, %(upto)s,
    %(read)s, %(inserted)s, %(updated)s, %(superseded)s, CURRENT_TIMESTAMP(), %(schema)s,
    (SELECT COALESCE(MAX(_BATCH_ID), 0) FROM {target})
