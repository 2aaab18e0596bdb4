-- Fenced upsert: an older version never overwrites a newer one, nor an older batch the same version of a newer one.
-- A deleted row that comes back is alive again.
MERGE INTO {target} AS t
USING (
    SELECT
        {staged_values},
        {batch_id} AS _BATCH_ID,
        '{loaded_at}'::TIMESTAMP_TZ(6) AS _LOADED_AT,
        NULL::TIMESTAMP_TZ(6) AS _DELETED_AT
    FROM {staged} AS b
) AS s
ON {same_key}
WHEN MATCHED AND (s._VERSION > t._VERSION OR (s._VERSION = t._VERSION AND s._BATCH_ID >= t._BATCH_ID)) THEN UPDATE SET {assignments}
WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({values})
