"""Types: what each type of PostgreSQL becomes in Arrow, Delta and Snowflake, and the conversions between them."""
