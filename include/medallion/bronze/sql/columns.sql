-- Columns of a table in the order of the table; domains resolved to their base type, arrays to that of their elements.
-- A type of the user's has no name here: it may be called like a built-in one. `definition` holds what else the text of
-- a value depends on: labels of enums and attributes of composite types, also within domains, arrays and ranges. Values
-- refer to a label, and to an attribute, by the number that follows its kind.
WITH RECURSIVE typed (attnum, attname, typmod, arrays, dims, oid) AS (
    SELECT a.attnum, a.attname, a.atttypmod, 0, a.attndims::int4, a.atttypid
    FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = {relation}::oid AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT
        d.attnum, d.attname, CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE d.typmod END,
        d.arrays + (t.typtype <> 'd')::int4, greatest(d.dims, t.typndims),
        CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END
    FROM typed AS d
    JOIN pg_catalog.pg_type AS t ON t.oid = d.oid
    WHERE
        t.typtype = 'd'
        -- vectors are arrays of another text, and no type's own array
        OR (t.typcategory = 'A' AND EXISTS (SELECT FROM pg_catalog.pg_type AS e WHERE e.oid = t.typelem AND e.typarray = t.oid))
), reached (attnum, oid) AS (
    SELECT a.attnum, a.atttypid
    FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = {relation}::oid AND a.attnum > 0 AND NOT a.attisdropped
    UNION
    SELECT r.attnum, inner_type.oid
    FROM reached AS r
    JOIN pg_catalog.pg_type AS t ON t.oid = r.oid
    CROSS JOIN LATERAL (
        SELECT t.typbasetype WHERE t.typtype = 'd'
        UNION ALL
        SELECT t.typelem WHERE t.typelem <> 0 AND t.typcategory = 'A'
        UNION ALL
        SELECT g.rngsubtype
        FROM pg_catalog.pg_range AS g
        -- the column is new in PostgreSQL 14
        WHERE t.oid IN (g.rngtypid, (pg_catalog.to_jsonb(g) ->> 'rngmultitypid')::oid)
        UNION ALL
        SELECT b.atttypid
        FROM pg_catalog.pg_attribute AS b
        WHERE t.typtype = 'c' AND b.attrelid = t.typrelid AND b.attnum > 0 AND NOT b.attisdropped
    ) AS inner_type (oid)
), defined AS (
    SELECT r.attnum, string_agg(d.words, {separator} ORDER BY r.oid, d.number) AS words
    FROM reached AS r
    JOIN pg_catalog.pg_type AS t ON t.oid = r.oid
    CROSS JOIN LATERAL (
        SELECT 'label ' || e.oid || ' ' || e.enumlabel, e.oid::int8 FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = t.oid
        UNION ALL
        SELECT
            'attribute ' || t.oid || '.' || b.attnum || ' ' || pg_catalog.format_type(b.atttypid, b.atttypmod),
            b.attnum::int8
        FROM pg_catalog.pg_attribute AS b
        WHERE t.typtype = 'c' AND b.attrelid = t.typrelid AND b.attnum > 0 AND NOT b.attisdropped
    ) AS d (words, number)
    GROUP BY r.attnum
)
SELECT
    typed.attnum::int4 AS attnum,
    typed.attname::text AS name,
    CASE
        WHEN t.typnamespace = 'pg_catalog'::regnamespace OR x.extname = 'hstore' THEN t.typname::text
        ELSE ''
    END AS typname,
    typed.typmod,
    CASE WHEN typed.arrays > 0 THEN greatest(typed.arrays, typed.dims) ELSE 0 END AS dimensions,
    pg_catalog.format_type(a.atttypid, a.atttypmod) AS declared,
    (a.atthasdef OR a.atthasmissing) AND a.attgenerated = '' AS has_default,
    CASE WHEN a.attgenerated <> '' THEN pg_catalog.pg_get_expr(f.adbin, f.adrelid) ELSE '' END AS generated,
    coalesce(defined.words, '') AS definition,
    CASE
        WHEN pg_catalog.current_setting('server_encoding') = 'SQL_ASCII' THEN ''
        ELSE coalesce(pg_catalog.col_description(a.attrelid, a.attnum), '')
    END AS comment,
    pg_catalog.current_setting('server_encoding') = 'SQL_ASCII' AS any_bytes
FROM typed
JOIN pg_catalog.pg_type AS t ON t.oid = typed.oid
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = {relation}::oid AND a.attnum = typed.attnum
LEFT JOIN pg_catalog.pg_attrdef AS f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
LEFT JOIN pg_catalog.pg_depend AS o
    ON o.classid = 'pg_catalog.pg_type'::regclass AND o.objid = t.oid AND o.deptype = 'e'
LEFT JOIN pg_catalog.pg_extension AS x ON x.oid = o.refobjid
LEFT JOIN defined ON defined.attnum = typed.attnum
WHERE
    t.typtype <> 'd'
    AND NOT (t.typcategory = 'A' AND EXISTS (SELECT FROM pg_catalog.pg_type AS e WHERE e.oid = t.typelem AND e.typarray = t.oid))
ORDER BY typed.attnum
