-- New answers for rows that are there in just this version, and live; nothing else of a row changes.
MERGE INTO {target} AS t
USING (
    SELECT
        {staged_values},
        {batch_id} AS _BATCH_ID,
        '{loaded_at}'::TIMESTAMP_TZ(6) AS _LOADED_AT
    FROM {staged} AS b
) AS s
ON {same_key}
WHEN MATCHED AND s._VERSION = t._VERSION AND s._BATCH_ID >= t._BATCH_ID AND t._DELETED_AT IS NULL THEN UPDATE SET {lookup_assignments}
