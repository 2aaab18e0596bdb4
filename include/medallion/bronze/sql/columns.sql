-- Columns of a table in the order of the table, domains resolved to their base type.
-- A type of the user's has no name here: it may be called like a built-in one.
WITH RECURSIVE typed AS (
    SELECT a.attnum, a.attname, a.atttypmod, t.oid, t.typname, t.typnamespace, t.typtype, t.typbasetype, t.typtypmod
    FROM pg_catalog.pg_attribute AS a
    JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
    WHERE a.attrelid = {relation}::oid AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT
        d.attnum, d.attname, d.typtypmod, t.oid, t.typname, t.typnamespace, t.typtype, t.typbasetype, t.typtypmod
    FROM typed AS d
    JOIN pg_catalog.pg_type AS t ON t.oid = d.typbasetype
    WHERE d.typtype = 'd'
)
SELECT
    attname::text AS name,
    CASE WHEN typnamespace = 'pg_catalog'::regnamespace THEN typname::text ELSE '' END AS typname,
    atttypmod AS typmod
FROM typed
WHERE typtype <> 'd'
ORDER BY attnum
