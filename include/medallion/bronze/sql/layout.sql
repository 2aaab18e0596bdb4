-- Where a table's rows lie: its files (each partition's own), and the size of the largest. A file that is written anew
-- (VACUUM FULL, CLUSTER, TRUNCATE) gets another number.
SELECT
    coalesce(
        string_agg(
            c.oid || '.' || coalesce(pg_catalog.pg_relation_filenode(c.oid), 0), ','
            ORDER BY c.oid
        ),
        ''
    ) AS files,
    coalesce(max(pg_catalog.pg_relation_size(c.oid)), 0) AS bytes,
    pg_catalog.current_setting('block_size')::int8 AS block_bytes,
    pg_catalog.current_setting('server_version_num')::int8 AS server
FROM pg_catalog.pg_class AS c
WHERE
    c.relkind IN ('r', 'm')
    AND (c.oid = {relation}::oid OR c.oid IN (SELECT t.relid FROM pg_catalog.pg_partition_tree({relation}::oid) AS t))
