-- What the pipeline's table holds once it was restored: the newest batch after which it had no larger batch id than now.
SELECT SOURCE, UPTO_XID, BATCH_ID, COALESCE(SCHEMA_ID, 0)
FROM _MEDALLION_BATCHES
WHERE PIPELINE = %(pipeline)s AND TABLE_BATCH_ID <= %(held)s
ORDER BY BATCH_ID DESC, UPTO_XID DESC
LIMIT 1
