-- A role that can read one table of the source, and nothing else. Run by the owner of the database:
--   psql -v password="..." -v database=... -v schema=public -v table=employees -f bronze_role.sql
-- A further table: the last GRANT again.
CREATE ROLE medallion LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT CONNECTION LIMIT 10 PASSWORD :'password';
ALTER ROLE medallion SET default_transaction_read_only = on;
ALTER ROLE medallion SET idle_in_transaction_session_timeout = '10min';
GRANT CONNECT ON DATABASE :"database" TO medallion;
GRANT USAGE ON SCHEMA :"schema" TO medallion;
GRANT SELECT ON :"schema".:"table" TO medallion;
-- Columns that must not leave the source: in place of the last line, grant the others by name, and name the rest in
-- columns.exclude of the pipeline file:  GRANT SELECT (id, first_name, postcode) ON employees TO medallion;
