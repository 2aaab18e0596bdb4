-- Rows of the batch's keys go, also where a key is there twice; what a newer batch wrote stays.
DELETE FROM {target} AS t
USING {staged} AS s
WHERE {same_key} AND COALESCE(t._BATCH_ID, 0) <= {batch_id}
