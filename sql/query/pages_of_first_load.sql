SELECT p.hash FROM sluice._page AS p
WHERE p.job_id = $1 AND p.records > 0
  AND p.generation = (SELECT r.generation FROM sluice._run AS r WHERE r.id = $2)
ORDER BY p.number
