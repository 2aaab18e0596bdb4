-- A table by its name: kind, size as the planner believes it, and the identity that a watermark is bound to.
-- The timeline is read where it changes first: on a primary from the WAL's file name.
SELECT
    c.oid::int8 AS relation,
    c.relkind::text AS kind,
    c.reltuples::float8 AS rows,
    CASE
        WHEN pg_catalog.current_setting('server_encoding') = 'SQL_ASCII' THEN ''
        ELSE coalesce(pg_catalog.obj_description(c.oid, 'pg_class'), '')
    END AS comment,
    EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhparent = c.oid) AS has_children,
    (SELECT s.system_identifier::text FROM pg_catalog.pg_control_system() AS s)
    || '.' || CASE
        WHEN pg_catalog.pg_is_in_recovery()
            THEN (SELECT k.timeline_id FROM pg_catalog.pg_control_checkpoint() AS k)
        ELSE ('x' || substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8))::bit(32)::int
    END
    || '.' || d.oid || '.' || c.oid AS identity
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_database AS d ON d.datname = current_database()
WHERE n.nspname = {schema} AND c.relname = {table}
