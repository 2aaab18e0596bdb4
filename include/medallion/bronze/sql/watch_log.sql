-- Where the last transaction ends that changed a table: messages of rows and of TRUNCATE name the table by its oid.
SELECT
    coalesce(max(t.last) FILTER (WHERE t.is_of_table AND t.last > {covered}), 0)::int8 AS changed,
    count(*) AS transactions
FROM (
    SELECT
        max(pg_catalog.pg_wal_lsn_diff(c.lsn, '0/0')) AS last,
        bool_or(
            CASE
                WHEN pg_catalog.get_byte(c.data, 0) IN (68, 73, 85)
                THEN pg_catalog.substring(c.data, 2, 4) = {relation}::bytea
                WHEN pg_catalog.get_byte(c.data, 0) = 84
                THEN position({relation}::bytea IN c.data) > 6
                ELSE false
            END
        ) AS is_of_table
    FROM pg_catalog.pg_logical_slot_peek_binary_changes(
        {slot}, {upto}, {most}, 'proto_version', '1', 'publication_names', {publication}
    ) AS c
    GROUP BY c.xid::text
) AS t
