-- For this transaction: what travels as text must not depend on settings of the role or the database,
-- and a policy that hides rows is an error, not a smaller table.
SELECT
    -- SQL_ASCII holds any bytes, and would end the read at the first that are no UTF-8
    pg_catalog.set_config(
        'client_encoding',
        CASE pg_catalog.current_setting('server_encoding') WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END,
        true
    ),
    pg_catalog.set_config('datestyle', 'ISO, YMD', true),
    pg_catalog.set_config('intervalstyle', 'postgres', true),
    pg_catalog.set_config('timezone', 'UTC', true),
    pg_catalog.set_config('extra_float_digits', '1', true),
    pg_catalog.set_config('bytea_output', 'hex', true),
    pg_catalog.set_config('row_security', 'off', true)
