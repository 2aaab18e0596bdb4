-- How far the log reaches that readers see: on a standby what it has replayed.
SELECT pg_catalog.pg_wal_lsn_diff(
    CASE
        WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
        ELSE pg_catalog.pg_current_wal_flush_lsn()
    END,
    '0/0'
)::int8 AS position
