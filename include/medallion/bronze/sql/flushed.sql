-- How much of the write-ahead log is on disk.
SELECT CASE
    WHEN pg_catalog.pg_is_in_recovery() THEN 0
    ELSE pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_flush_lsn(), '0/0')
END::int8 AS position
