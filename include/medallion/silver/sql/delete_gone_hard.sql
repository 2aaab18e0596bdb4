-- Remove rows that the source no longer has, unless a newer version or batch came meanwhile.
MERGE INTO {target} AS t
USING (SELECT k.*, {batch_id} AS _BATCH_ID FROM {staged} AS k) AS s
ON {same_key}
WHEN MATCHED AND (s._VERSION > t._VERSION OR (s._VERSION = t._VERSION AND s._BATCH_ID >= t._BATCH_ID)) THEN DELETE
