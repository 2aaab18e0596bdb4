-- After `reload_clear` in the same transaction.
INSERT INTO {target} ({columns})
SELECT {values}
FROM (
    SELECT
        {staged_values},
        {batch_id} AS _BATCH_ID,
        '{loaded_at}'::TIMESTAMP_TZ(6) AS _LOADED_AT,
        NULL::TIMESTAMP_TZ(6) AS _DELETED_AT
    FROM {staged} AS b
) AS s
WHERE NOT EXISTS (SELECT 1 FROM {target} AS t WHERE {same_key})
