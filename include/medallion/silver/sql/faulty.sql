-- Keys of the source's rows that are due here and not there, or there in an older version, or there more than once.
SELECT {key_of_s}
FROM {staged} AS s
LEFT JOIN {target} AS t ON {same_key}
WHERE s._VERSION < {upto}
GROUP BY {key_of_s}
HAVING COUNT(CASE WHEN t._DELETED_AT IS NULL AND t._VERSION >= s._VERSION THEN 1 END) = 0 OR COUNT(t._VERSION) > {most}
LIMIT {limit}
