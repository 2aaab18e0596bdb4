-- A replication slot: what it keeps of the log, whether it still has all of it, and how much of it is read at once.
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
{readable},
    9223372036854775807)::int8 AS readable
FROM pg_catalog.pg_replication_slots AS s
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
        ELSE pg_catalog.pg_current_wal_lsn()
    END AS at
) AS w
WHERE s.slot_name::text LIKE {pattern} AND s.slot_type = 'logical'
ORDER BY s.slot_name
