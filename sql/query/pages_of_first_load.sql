-- A load that was begun again for a lost token has pages of its run in two generations; the first one's are what it copied.
SELECT p.hash FROM sluice._page AS p
WHERE p.job_id = $1 AND p.records > 0
  AND p.generation = least((SELECT r.generation FROM sluice._run AS r WHERE r.id = $2),
                           (SELECT min(o.generation) FROM sluice._page AS o
                            WHERE o.job_id = $1 AND o.generation > 0 AND o.run_id = $2))
ORDER BY p.number
