-- How much of the log of a slot `s` is read at once: PostgreSQL 17 waits without a limit for what a standby of
-- synchronized_standby_slots has not received. NULL if the slot waits for none.
(
    SELECT min(coalesce(pg_catalog.pg_wal_lsn_diff(p.restart_lsn, '0/0'), 0))
    FROM pg_catalog.regexp_split_to_table(
        nullif(pg_catalog.current_setting('synchronized_standby_slots', true), ''), '[," ]+'
    ) AS n (name)
    LEFT JOIN pg_catalog.pg_replication_slots AS p
        ON p.slot_name = n.name AND p.slot_type = 'physical'
        AND pg_catalog.to_jsonb(p) ->> 'invalidation_reason' IS NULL
    WHERE n.name <> '' AND (pg_catalog.to_jsonb(s) ->> 'failover')::boolean
        AND NOT pg_catalog.pg_is_in_recovery()
)
