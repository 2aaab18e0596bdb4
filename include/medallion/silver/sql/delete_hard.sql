-- Remove rows that the source lost, also those that were marked before.
MERGE INTO {target} AS t
USING (
    SELECT {key_of_d}
    FROM {target} AS d
    LEFT JOIN {staged} AS k ON {lost_key}
    WHERE {lost} AND d._VERSION < {upto}
) AS s
ON {same_key}
WHEN MATCHED THEN DELETE
