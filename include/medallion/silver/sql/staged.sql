-- Rows of the batch, and distinct keys among them.
SELECT
    (SELECT COUNT(*) FROM {staged}),
    (SELECT COUNT(*) FROM (SELECT DISTINCT {key} FROM {staged}))
