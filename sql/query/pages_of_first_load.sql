-- A load that was begun again for a lost token has pages of its run in two generations; the first one's are what it copied.
WITH loads AS (
    SELECT r.id, r.generation FROM sluice._undo AS u JOIN sluice._run AS r ON r.id = u.run_id
    WHERE u.job_id = $1 AND u.kind = 'first_load'
)
SELECT p.hash FROM sluice._page AS p
WHERE p.job_id = $1 AND p.records > 0
  AND p.generation = (SELECT least(min(l.generation), (SELECT min(o.generation) FROM sluice._page AS o
                             WHERE o.job_id = $1 AND o.generation > 0 AND o.run_id IN (SELECT id FROM loads)))
                      FROM loads AS l)
ORDER BY p.number
