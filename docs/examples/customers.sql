-- The table of the tutorial, for whoever has none at hand.
CREATE TABLE customers (
    customer_no bigint PRIMARY KEY,
    full_name text NOT NULL,
    email text,
    zip varchar(10),
    country char(2) NOT NULL DEFAULT 'US',
    balance numeric(12, 2) NOT NULL DEFAULT 0,
    joined date NOT NULL
);

INSERT INTO customers
SELECT n, 'Customer ' || n, 'customer' || n || '@example.com',
       (ARRAY['98052', '10001', '60601', '94105', '33101', NULL])[1 + n % 6], 'US',
       (n * 37 % 10000) / 100.0, date '2024-01-01' + (n % 700)
FROM generate_series(1, 500) AS n;
