-- Into the batch's own table, by name. Times travel as text: how COPY reads Parquet's own types is an option's choice.
COPY INTO {staged}
FROM @%{staged}
FILE_FORMAT = (TYPE = PARQUET BINARY_AS_TEXT = FALSE)
MATCH_BY_COLUMN_NAME = CASE_SENSITIVE
PURGE = TRUE
