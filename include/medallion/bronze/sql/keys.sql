-- Column sets that are unique over the whole table: complete, valid, undeferred, plain-column unique indexes.
SELECT
    string_agg(a.attname::text, {separator} ORDER BY a.attname::text COLLATE "C") AS columns
FROM pg_catalog.pg_index AS i
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, position)
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE
    i.indrelid = {relation}::oid AND i.indisunique AND i.indisvalid AND i.indimmediate
    AND i.indpred IS NULL AND i.indexprs IS NULL AND k.position <= i.indnkeyatts
GROUP BY i.indexrelid
