-- Rows of the batch that the table already holds in a newer version, or in the same one from a newer batch.
SELECT COUNT(*)
FROM {staged} AS s
JOIN {target} AS t ON {same_key}
WHERE t._VERSION > s._VERSION OR (t._VERSION = s._VERSION AND t._BATCH_ID > {batch_id})
