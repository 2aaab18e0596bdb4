-- New answers for rows that are there in just this version, and live; nothing else of a row changes.
MERGE INTO {target} AS t
USING {staged} AS s
ON {same_key}
WHEN MATCHED AND t._VERSION = s._VERSION AND t._BATCH_ID <= {batch_id} AND t._DELETED_AT IS NULL THEN UPDATE SET
    {renewals}, _BATCH_ID = {batch_id}, _LOADED_AT = '{loaded_at}'::TIMESTAMP_TZ(6)
