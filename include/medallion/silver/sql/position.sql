-- What the pipeline's table holds: its newest batch; and the largest batch id that its rows had then.
SELECT SOURCE, UPTO_XID, BATCH_ID, COALESCE(SCHEMA_ID, 0), TABLE_BATCH_ID
FROM _MEDALLION_BATCHES
WHERE PIPELINE = %(pipeline)s
ORDER BY BATCH_ID DESC, UPTO_XID DESC
LIMIT 1
