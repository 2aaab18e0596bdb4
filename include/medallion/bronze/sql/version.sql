-- The server's version as a number: 180006 is 18.6.
SELECT pg_catalog.current_setting('server_version_num')::int8 AS version
