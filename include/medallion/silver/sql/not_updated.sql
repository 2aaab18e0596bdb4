-- Rows of the batch whose answers are not wanted any more: the row is gone, deleted, newer, or renewed by a newer batch.
SELECT COUNT(*)
FROM {staged} AS s
LEFT JOIN {target} AS t ON {same_key}
WHERE t._VERSION IS NULL OR t._VERSION <> s._VERSION OR t._BATCH_ID > {batch_id} OR t._DELETED_AT IS NOT NULL
