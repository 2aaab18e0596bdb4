-- After DELETE in the same transaction: readers see the old rows until COMMIT, then the new ones.
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
