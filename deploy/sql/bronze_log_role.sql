-- What `read: log` needs besides bronze_role.sql: the right to use replication slots, and a publication of the table.
-- Run it as a superuser, or as the administrator of a managed server, who must own the table for the publication:
--   psql -v table=employees -v schema=public -f bronze_log_role.sql
-- For another table, run it again. The server needs wal_level = logical, which takes a restart: RDS and Aurora have the
-- parameter rds.logical_replication, Cloud SQL the flag cloudsql.logical_decoding, Azure the parameter wal_level.

-- Replication: an attribute of the role, but on RDS and Aurora a role that it is a member of.
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_replication') AS on_rds \gset
\if :on_rds
GRANT rds_replication TO medallion;
\else
ALTER ROLE medallion WITH REPLICATION;
\endif

-- The publication says which tables' changes the log is decoded for. Without a row filter and a list of columns: rows are
-- filtered when they are read. publish_via_partition_root is needed by partitioned tables, and does nothing for others.
SELECT 'medallion_' || :'table' AS publication \gset
SELECT format('CREATE PUBLICATION %I FOR TABLE %I.%I WITH (publish_via_partition_root = true)',
    left(:'publication', 63), :'schema', :'table')
WHERE NOT EXISTS (SELECT FROM pg_publication WHERE pubname = left(:'publication', 63)) \gexec

-- The log carries the replica identity of a deleted row. It must include the key; the default is the primary key. For a
-- key that is another unique index:  ALTER TABLE employees REPLICA IDENTITY USING INDEX employees_number_key;

-- What to expect of the role: REPLICATION also lets it read the changes of every table of the database that a publication
-- names, and start a physical copy of the server unless pg_hba.conf refuses that (it has entries for `replication`).
