-- The transaction ids of one snapshot, the distance that age() counts from, and the server's clock.
SELECT
    pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::text::int8 AS xmin,
    pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::int8 AS xmax,
    pg_catalog.age('3'::xid) AS age_of_3,
    pg_catalog.clock_timestamp() AS clock
