-- After `reload_clear`: rows of the batch whose key a newer batch wrote are not written; `replace` writes the others.
DELETE FROM {staged} AS s
USING {target} AS t
WHERE {same_key}
