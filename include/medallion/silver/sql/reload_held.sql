-- Rows of the batch whose key the table has, and of those that a newer batch wrote there.
SELECT
    (SELECT COUNT(*) FROM {staged} AS s WHERE EXISTS (SELECT 1 FROM {target} AS t WHERE {same_key})),
    (
        SELECT COUNT(*)
        FROM {staged} AS s
        WHERE EXISTS (SELECT 1 FROM {target} AS t WHERE {same_key} AND t._BATCH_ID > {batch_id})
    )
