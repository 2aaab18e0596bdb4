-- Who asks, and whom.
SELECT
    current_user::text AS role,
    pg_catalog.current_setting('server_version') AS version,
    pg_catalog.pg_is_in_recovery() AS is_standby
