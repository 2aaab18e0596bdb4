-- Mark rows whose newer version is quarantined, and fence older versions off.
MERGE INTO {target} AS t
USING (SELECT {key}, _VERSION FROM {withdrawn}) AS s
ON {same_key}
WHEN MATCHED AND t._DELETED_AT IS NULL AND (s._VERSION > t._VERSION OR (s._VERSION = t._VERSION AND {batch_id} >= t._BATCH_ID))
THEN UPDATE SET _VERSION = s._VERSION, _BATCH_ID = {batch_id}, _DELETED_AT = '{loaded_at}'::TIMESTAMP_TZ(6)
