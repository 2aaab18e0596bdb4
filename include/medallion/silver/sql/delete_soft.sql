-- Mark living rows that the source lost.
MERGE INTO {target} AS t
USING (
    SELECT {key_of_d}
    FROM {target} AS d
    LEFT JOIN {staged} AS k ON {lost_key}
    WHERE {lost} AND d._VERSION < {upto} AND d._DELETED_AT IS NULL
) AS s
ON {same_key}
WHEN MATCHED THEN UPDATE SET _DELETED_AT = '{deleted_at}'::TIMESTAMP_TZ(6)
