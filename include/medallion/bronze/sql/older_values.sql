-- Whether rows that meet a condition have values in a column.
SELECT EXISTS (SELECT FROM {table} WHERE {column} IS NOT NULL AND {condition}) AS found
