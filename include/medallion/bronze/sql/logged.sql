-- How far the write-ahead log reaches, the head of a page that holds nothing yet left out. A standby has it from a disk.
SELECT CASE
    WHEN pg_catalog.pg_is_in_recovery() THEN 0
    WHEN at % segment = 40 THEN at - 40
    WHEN at % block = 24 THEN at - 24
    ELSE at
END::int8 AS position
FROM (
    SELECT
        CASE
            WHEN NOT pg_catalog.pg_is_in_recovery()
            THEN pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0')
        END AS at,
        pg_catalog.current_setting('wal_block_size')::int8 AS block,
        pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size')) AS segment
) AS log
