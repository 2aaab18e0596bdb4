-- Bytes of a table, without indexes and long values; of a partitioned one, of all partitions.
SELECT coalesce(sum(pg_catalog.pg_relation_size(t.relid)), 0)::int8 AS bytes
FROM pg_catalog.pg_partition_tree({relation}::oid) AS t
