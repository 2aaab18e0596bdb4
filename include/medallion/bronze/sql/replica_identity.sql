-- The columns that the log carries of a deleted row, for a table or each of its partitions: f is all, n is none.
SELECT
    c.relreplident::text AS identity,
    coalesce(
        (
            SELECT pg_catalog.string_agg(a.attname::text, {separator} ORDER BY a.attnum)
            FROM pg_catalog.pg_index AS i
            JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[])
            WHERE
                i.indrelid = c.oid
                AND CASE WHEN c.relreplident = 'd' THEN i.indisprimary ELSE i.indisreplident END
        ),
        ''
    ) AS columns,
    pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS name
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE
    c.relkind <> 'p'
    AND (
        c.oid = {relation}::oid
        OR c.oid IN (SELECT t.relid FROM pg_catalog.pg_partition_tree({relation}::oid) AS t WHERE t.isleaf)
    )
ORDER BY name
