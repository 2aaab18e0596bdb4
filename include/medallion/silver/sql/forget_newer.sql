-- The batches that the table held before it was restored, and does not hold any more.
DELETE FROM _MEDALLION_BATCHES
WHERE PIPELINE = %(pipeline)s AND BATCH_ID > %(batch_id)s
