-- A replication slot: what it keeps of the log, whether it still has all of it, and how much of it may be read: changes
-- that a standby of synchronized_standby_slots has not received are waited for without a limit (PostgreSQL 17).
SELECT
    s.slot_name::text AS name,
    s.plugin::text AS plugin,
    coalesce(s.database::text, '') AS database,
    s.active AS active,
    coalesce(pg_catalog.pg_wal_lsn_diff(s.confirmed_flush_lsn, '0/0'), 0)::int8 AS confirmed,
    coalesce(pg_catalog.pg_wal_lsn_diff(w.at, s.restart_lsn), 0)::int8 AS retained,
    coalesce(s.wal_status, '') = 'lost' OR s.restart_lsn IS NULL
    OR coalesce(pg_catalog.to_jsonb(s) ->> 'invalidation_reason', '') <> ''
    OR coalesce((pg_catalog.to_jsonb(s) ->> 'conflicting')::boolean, false) AS lost,
    coalesce(
        (
            SELECT min(coalesce(pg_catalog.pg_wal_lsn_diff(p.restart_lsn, '0/0'), 0))
            FROM pg_catalog.regexp_split_to_table(
                nullif(pg_catalog.current_setting('synchronized_standby_slots', true), ''), '[," ]+'
            ) AS n (name)
            LEFT JOIN pg_catalog.pg_replication_slots AS p ON p.slot_name = n.name AND p.slot_type = 'physical'
            WHERE n.name <> '' AND (pg_catalog.to_jsonb(s) ->> 'failover')::boolean
                AND NOT pg_catalog.pg_is_in_recovery()
        ),
        9223372036854775807
    )::int8 AS readable
FROM pg_catalog.pg_replication_slots AS s
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
        ELSE pg_catalog.pg_current_wal_lsn()
    END AS at
) AS w
WHERE s.slot_name::text LIKE {pattern} AND s.slot_type = 'logical'
ORDER BY s.slot_name
