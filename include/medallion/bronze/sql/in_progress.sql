-- The transactions that the snapshot does not see although they have an id below its end. A standby names none.
SELECT
    pg_catalog.pg_snapshot_xmax(s.snapshot)::text::int8 AS xmax,
    ARRAY(SELECT pg_catalog.pg_snapshot_xip(s.snapshot)::text::int8) AS running
FROM (SELECT pg_catalog.pg_current_snapshot() AS snapshot) AS s
