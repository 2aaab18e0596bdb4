-- What a server and a publication allow: the settings that reading the log of a table depends on.
SELECT
    pg_catalog.current_setting('wal_level') AS wal_level,
    pg_catalog.current_setting('server_version_num')::int8 AS version,
    pg_catalog.pg_is_in_recovery() AS standby,
    p.oid IS NOT NULL AS published,
    coalesce(p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate, false) AS whole,
    coalesce(
        (
            SELECT pg_catalog.to_jsonb(t) ->> 'rowfilter' IS NULL
            FROM pg_catalog.pg_publication_tables AS t
            WHERE t.pubname = p.pubname AND t.schemaname = {schema} AND t.tablename = {table}
        ),
        false
    ) AS has_table,
    coalesce(
        (
            SELECT pg_catalog.string_agg(a.name, {separator})
            FROM pg_catalog.pg_publication_tables AS t
            CROSS JOIN LATERAL pg_catalog.jsonb_array_elements_text(pg_catalog.to_jsonb(t) -> 'attnames') AS a (name)
            WHERE t.pubname = p.pubname AND t.schemaname = {schema} AND t.tablename = {table}
                AND pg_catalog.jsonb_typeof(pg_catalog.to_jsonb(t) -> 'attnames') = 'array'
        ),
        ''
    ) AS columns
FROM (SELECT 1) AS one
LEFT JOIN pg_catalog.pg_publication AS p ON p.pubname = {publication}
