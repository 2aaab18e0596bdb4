-- For this transaction: what travels as text must not depend on settings of the role or the database,
-- and a policy that hides rows is an error, not a smaller table.
SELECT
    pg_catalog.set_config('client_encoding', 'UTF8', true),
    pg_catalog.set_config('datestyle', 'ISO, YMD', true),
    pg_catalog.set_config('intervalstyle', 'postgres', true),
    pg_catalog.set_config('timezone', 'UTC', true),
    pg_catalog.set_config('extra_float_digits', '1', true),
    pg_catalog.set_config('bytea_output', 'hex', true),
    pg_catalog.set_config('row_security', 'off', true)
