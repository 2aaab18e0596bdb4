-- Remove rows whose newer version is quarantined.
MERGE INTO {target} AS t
USING (SELECT {key}, _VERSION FROM {withdrawn}) AS s
ON {same_key}
WHEN MATCHED AND (s._VERSION > t._VERSION OR (s._VERSION = t._VERSION AND {batch_id} >= t._BATCH_ID)) THEN DELETE
