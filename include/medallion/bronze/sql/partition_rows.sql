-- Rows of a table that meet a condition, by the partition that they are in.
SELECT
    tableoid::int8 AS relation,
    tableoid::regclass::text AS name,
    count(*)::int8 AS rows
FROM {qualified}
WHERE {condition}
GROUP BY tableoid
