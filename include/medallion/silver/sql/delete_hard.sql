-- Remove rows that the source lost, also those that were marked before; those of another writer have no version.
MERGE INTO {target} AS t
USING (
    SELECT DISTINCT {key_of_d}
    FROM {target} AS d
    LEFT JOIN {staged} AS k ON {lost_key}
    WHERE {lost} AND {has_key} AND COALESCE(d._VERSION, 0) < {upto}
) AS s
ON {same_key}
WHEN MATCHED THEN DELETE
