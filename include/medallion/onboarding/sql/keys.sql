-- Unique keys of a table, best first: the primary key, then those without NULL, then those of few columns.
SELECT
    array_agg(a.attname::text ORDER BY k.position) AS columns,
    i.indisprimary AS is_primary,
    bool_and(a.attnotnull) AS not_null
FROM pg_catalog.pg_index AS i
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, position)
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE
    i.indrelid = {relation}::oid AND i.indisunique AND i.indisvalid AND i.indimmediate
    AND i.indpred IS NULL AND i.indexprs IS NULL AND k.position <= i.indnkeyatts
GROUP BY i.indexrelid, i.indisprimary
ORDER BY i.indisprimary DESC, bool_and(a.attnotnull) DESC, count(*), min(k.attnum)
