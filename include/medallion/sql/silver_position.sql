-- What the pipeline's table holds: its newest batch.
SELECT SOURCE, UPTO_XID, BATCH_ID
FROM _MEDALLION_BATCHES
WHERE PIPELINE = %(pipeline)s
ORDER BY BATCH_ID DESC
LIMIT 1
