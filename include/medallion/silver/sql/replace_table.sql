-- One statement: readers see the old table until it ends, then the new one with the same grants.
CREATE OR REPLACE TABLE {target} ({definitions}) COPY GRANTS AS
SELECT {values}
FROM (
    SELECT
        {staged_values},
        {batch_id} AS _BATCH_ID,
        '{loaded_at}'::TIMESTAMP_TZ(6) AS _LOADED_AT,
        NULL::TIMESTAMP_TZ(6) AS _DELETED_AT
    FROM {staged} AS b
) AS s
