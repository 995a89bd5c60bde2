SELECT p.hash FROM sluice._page AS p
WHERE p.job_id = $1 AND p.records > 0
  AND p.generation = (SELECT min(r.generation) FROM sluice._undo AS u JOIN sluice._run AS r ON r.id = u.run_id
                      WHERE u.job_id = $1 AND u.kind = 'first_load')
ORDER BY p.number
