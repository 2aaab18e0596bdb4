-- Relations of a schema that hold rows; partitions are read through their root.
SELECT
    c.oid::int8 AS relation,
    c.relname::text AS name,
    c.relkind::text AS kind,
    pg_catalog.has_table_privilege(c.oid, 'SELECT') OR pg_catalog.has_any_column_privilege(c.oid, 'SELECT') AS readable
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = {schema} AND c.relkind IN ('r', 'p', 'm', 'v', 'f') AND NOT c.relispartition
ORDER BY c.relname
