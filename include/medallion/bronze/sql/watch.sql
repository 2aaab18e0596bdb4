-- What a source says of a table without reading it: rows written, transactions that are open, the log and its slot.
WITH root AS (
    SELECT c.oid
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = {schema} AND c.relname = {table}
),
tables AS (
    SELECT oid FROM root
    UNION
    SELECT p.relid::oid FROM root CROSS JOIN LATERAL pg_catalog.pg_partition_tree(root.oid) AS p
)
SELECT
    (SELECT oid FROM root)::int8 AS relation,
    (
        SELECT pg_catalog.md5(pg_catalog.string_agg(
            pg_catalog.concat_ws(':', c.oid, c.relfilenode, c.relnatts), ',' ORDER BY c.oid
        ))
        FROM tables JOIN pg_catalog.pg_class AS c ON c.oid = tables.oid
    ) AS shape,
    (
        SELECT sum(
            pg_catalog.pg_stat_get_tuples_inserted(tables.oid) + pg_catalog.pg_stat_get_tuples_updated(tables.oid)
        )
        FROM tables
    )::int8 AS written,
    pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::text::int8 AS xmin,
    pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::int8 AS xmax,
    least(
        pg_catalog.pg_wal_lsn_diff(
            CASE
                WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                ELSE pg_catalog.pg_current_wal_flush_lsn()
            END,
            '0/0'
        ),
{readable}
    )::int8 AS log_end,
    pg_catalog.pg_wal_lsn_diff(s.confirmed_flush_lsn, '0/0')::int8 AS confirmed,
    coalesce(s.wal_status, '') <> 'lost' AND s.restart_lsn IS NOT NULL
    AND s.plugin = 'pgoutput' AND s.database = pg_catalog.current_database() AS usable
FROM (SELECT 1) AS one
LEFT JOIN pg_catalog.pg_replication_slots AS s ON s.slot_name = {slot}
