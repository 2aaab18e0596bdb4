-- Live rows; of the source's rows that are due here, those that are not there, and those there in an older version; the
-- live rows that the source lost; last the keys that are due and there more than once.
SELECT
    (SELECT COUNT(*) FROM {target} WHERE _DELETED_AT IS NULL),
    COUNT(CASE WHEN t._VERSION IS NULL OR t._DELETED_AT IS NOT NULL THEN 1 END),
    COUNT(CASE WHEN t._DELETED_AT IS NULL AND t._VERSION < s._VERSION THEN 1 END),
    (
        SELECT COUNT(*)
        FROM {target} AS d
        LEFT JOIN {staged} AS k ON {lost_key}
        WHERE {lost} AND {has_key} AND COALESCE(d._VERSION, 0) < {upto} AND d._DELETED_AT IS NULL
    ),
    (
        SELECT COUNT(*)
        FROM (
            SELECT {key_of_d}
            FROM {target} AS d
            JOIN {staged} AS k ON {lost_key}
            WHERE k._VERSION < {upto}
            GROUP BY {key_of_d}
            HAVING COUNT(*) > 1
        )
    )
FROM {staged} AS s
LEFT JOIN {target} AS t ON {same_key}
WHERE s._VERSION < {upto}
