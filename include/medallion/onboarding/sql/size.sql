-- Size of a table without indexes, with what is stored outside of its rows; all partitions together.
SELECT
    coalesce(sum(pg_catalog.pg_table_size(c.oid)), 0)::int8 AS bytes,
    count(*) FILTER (WHERE c.oid <> {relation}::oid)::int8 AS partitions,
    sum(c.reltuples) FILTER (WHERE c.relkind IN ('r', 'm'))::float8 AS rows,
    (SELECT k.relkind::text FROM pg_catalog.pg_class AS k WHERE k.oid = {relation}::oid) AS kind
FROM pg_catalog.pg_class AS c
WHERE
    c.relkind IN ('r', 'm', 'p')
    AND (c.oid = {relation}::oid OR c.oid IN (SELECT t.relid FROM pg_catalog.pg_partition_tree({relation}::oid) AS t))
