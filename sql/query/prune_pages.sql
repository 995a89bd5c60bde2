WITH gone AS (
    DELETE FROM sluice._page WHERE job_id = $1 AND generation <> ALL ($2) RETURNING hash
)
DELETE FROM sluice._page_body AS b
WHERE b.job_id = $1
  AND b.hash IN (SELECT hash FROM gone)
  AND NOT EXISTS (SELECT FROM sluice._page AS p
                  WHERE p.job_id = $1 AND p.hash = b.hash AND p.generation = ANY ($2))
