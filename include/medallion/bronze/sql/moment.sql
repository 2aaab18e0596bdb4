-- The transaction ids of one snapshot, the distance that age() counts from, and the server's clock: microseconds since
-- 1970, because pyarrow imports pandas to make a datetime of a timestamp.
SELECT
    pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::text::int8 AS xmin,
    pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::int8 AS xmax,
    pg_catalog.age('3'::xid) AS age_of_3,
    (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::int8 AS clock
