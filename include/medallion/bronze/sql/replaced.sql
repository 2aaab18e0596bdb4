-- Whether a table, its partitions or their files are others now than in the snapshot of this transaction. Tables of the
-- catalogue are read in the snapshot; the functions, and names, are looked up in the catalogue as it is now.
WITH RECURSIVE tree AS (
    SELECT {relation}::oid AS oid
    UNION ALL
    SELECT i.inhrelid
    FROM tree AS t
    JOIN pg_catalog.pg_inherits AS i ON i.inhparent = t.oid
    -- the column is new in PostgreSQL 14
    WHERE NOT coalesce((pg_catalog.to_jsonb(i) ->> 'inhdetachpending')::boolean, false)
),
seen AS (
    SELECT string_agg(c.oid || '.' || c.relfilenode, ',' ORDER BY c.oid) AS files
    FROM pg_catalog.pg_class AS c
    JOIN tree AS t ON t.oid = c.oid
    WHERE c.relkind IN ('r', 'm')
),
current AS (
    SELECT string_agg(r.oid || '.' || pg_catalog.pg_relation_filenode(r.oid), ',' ORDER BY r.oid) AS files
    FROM (
        SELECT {relation}::oid AS oid
        UNION
        SELECT p.relid::oid FROM pg_catalog.pg_partition_tree({relation}::oid) AS p
    ) AS r
)
SELECT
    seen.files IS DISTINCT FROM current.files
    OR pg_catalog.to_regclass({qualified})::oid IS DISTINCT FROM {relation}::oid AS replaced
FROM seen, current
