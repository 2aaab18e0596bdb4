-- A role that can read one table of the source, and write nothing. Run it as a superuser, or as the owner of the database
-- (what only a superuser can take away is then listed at the end):
--   psql -v password="..." -v database=... -v schema=public -v table=employees -f bronze_role.sql
-- For another table, repeat the last GRANT.
CREATE ROLE medallion LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT CONNECTION LIMIT 10 PASSWORD :'password';
ALTER ROLE medallion SET default_transaction_read_only = on;
ALTER ROLE medallion SET idle_in_transaction_session_timeout = '10min';
GRANT CONNECT ON DATABASE :"database" TO medallion;
GRANT USAGE ON SCHEMA :"schema" TO medallion;
GRANT SELECT ON :"schema".:"table" TO medallion;
-- If some columns must not leave the source, grant the others by name instead, and list the excluded ones in
-- columns.exclude of the pipeline file:  GRANT SELECT (id, first_name, postcode) ON employees TO medallion;

-- A session can turn its read-only default off. What it could write then are things that every role may do, through
-- PUBLIC: they are taken from PUBLIC, and granted to each role that exists, so that nothing changes for those. Roles that
-- you create later need such grants of their own.

-- temporary tables
SELECT format('GRANT TEMPORARY ON DATABASE %I TO %I', :'database', r.rolname)
FROM pg_roles AS r
WHERE
    r.rolname !~ '^(pg_|medallion$)' AND NOT r.rolsuper
    AND has_database_privilege(r.rolname, :'database', 'TEMPORARY') \gexec
REVOKE TEMPORARY ON DATABASE :"database" FROM PUBLIC;

-- objects in schemas (before PostgreSQL 15 every role may create them in `public`)
SELECT format('GRANT CREATE ON SCHEMA %I TO %I', n.nspname, r.rolname)
FROM pg_namespace AS n, pg_roles AS r
WHERE
    has_schema_privilege('medallion', n.oid, 'CREATE') AND has_schema_privilege(r.rolname, n.oid, 'CREATE')
    AND r.rolname !~ '^(pg_|medallion$)' AND NOT r.rolsuper \gexec
SELECT format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', n.nspname)
FROM pg_namespace AS n
WHERE has_schema_privilege('medallion', n.oid, 'CREATE') \gexec

-- Large objects, messages in the write-ahead log, and functions that run with the rights of their owner. Each statement
-- is tried: those of pg_catalog belong to the superuser.
\set ON_ERROR_STOP off
CREATE TEMPORARY VIEW writing AS
SELECT p.oid::regprocedure AS signature, p.oid
FROM pg_proc AS p
WHERE
    has_function_privilege('medallion', p.oid, 'EXECUTE')
    AND (
        (
            p.pronamespace = 'pg_catalog'::regnamespace AND (
                p.proname IN ('lo_creat', 'lo_create', 'lo_from_bytea', 'lo_put', 'lo_open', 'lowrite', 'lo_unlink')
                OR p.proname ~ '^(lo_truncate|pg_logical_emit_message)'
            )
        )
        OR (p.prosecdef AND p.pronamespace <> 'pg_catalog'::regnamespace)
    );
SELECT format('GRANT EXECUTE ON ROUTINE %s TO %I', w.signature, r.rolname)
FROM writing AS w, pg_roles AS r
WHERE
    r.rolname !~ '^(pg_|medallion$)' AND NOT r.rolsuper
    AND has_function_privilege(r.rolname, w.oid, 'EXECUTE') \gexec
SELECT format('REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC', w.signature) FROM writing AS w \gexec

-- other databases, unless told to leave them:  -v other_databases=keep  (then let pg_hba.conf refuse the role there)
\if :{?other_databases}
\else
SELECT format('GRANT CONNECT ON DATABASE %I TO %I', d.datname, r.rolname)
FROM pg_database AS d, pg_roles AS r
WHERE
    d.datname <> :'database' AND d.datallowconn AND has_database_privilege('medallion', d.oid, 'CONNECT')
    AND r.rolname !~ '^(pg_|medallion$)' AND NOT r.rolsuper AND has_database_privilege(r.rolname, d.oid, 'CONNECT') \gexec
SELECT format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', d.datname)
FROM pg_database AS d
WHERE d.datname <> :'database' AND d.datallowconn AND has_database_privilege('medallion', d.oid, 'CONNECT') \gexec
\endif

-- what the role can still do besides reading: nothing should be listed
SELECT 'function ' || w.signature AS "the role can still use" FROM writing AS w
UNION ALL
SELECT 'database ' || d.datname
FROM pg_database AS d
WHERE
    (d.datname <> :'database' AND d.datallowconn AND has_database_privilege('medallion', d.oid, 'CONNECT'))
    OR (d.datname = :'database' AND has_database_privilege('medallion', d.oid, 'CREATE, TEMPORARY'))
UNION ALL
SELECT 'schema ' || n.nspname FROM pg_namespace AS n WHERE has_schema_privilege('medallion', n.oid, 'CREATE')
UNION ALL
SELECT 'table ' || c.oid::regclass
FROM pg_class AS c
WHERE
    c.relkind IN ('r', 'p', 'v', 'f') AND c.relnamespace <> 'pg_catalog'::regnamespace
    AND has_table_privilege('medallion', c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
UNION ALL
SELECT 'sequence ' || c.oid::regclass
FROM pg_class AS c
WHERE CASE WHEN c.relkind = 'S' THEN has_sequence_privilege('medallion', c.oid, 'USAGE, UPDATE') END;
DROP VIEW writing;
\set ON_ERROR_STOP on
