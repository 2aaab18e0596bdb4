-- A table that was restored to before every batch of the ledger holds nothing that can be relied on.
UPDATE _MEDALLION_BATCHES
SET UPTO_XID = %(upto)s
WHERE PIPELINE = %(pipeline)s AND BATCH_ID = %(batch_id)s AND UPTO_XID > %(upto)s
