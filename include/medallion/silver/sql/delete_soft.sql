-- Mark living rows that the source lost; those of another writer have no version.
MERGE INTO {target} AS t
USING (
    SELECT DISTINCT {key_of_d}
    FROM {target} AS d
    LEFT JOIN {staged} AS k ON {lost_key}
    WHERE {lost} AND {has_key} AND COALESCE(d._VERSION, 0) < {upto} AND d._DELETED_AT IS NULL
) AS s
ON {same_key}
WHEN MATCHED THEN UPDATE SET _DELETED_AT = '{deleted_at}'::TIMESTAMP_TZ(6)
