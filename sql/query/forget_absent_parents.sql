INSERT INTO sluice._parent_cursor (job_id, identity, run_id, cursor)
SELECT c.job_id, c.identity, $3, NULL
FROM sluice._latest_parent_cursor AS c
WHERE c.job_id = $1 AND c.cursor IS NOT NULL
  AND NOT EXISTS (SELECT FROM sluice._parent AS p
                  WHERE p.job_id = $1 AND p.generation = $2 AND p.identity = c.identity)
ON CONFLICT (job_id, identity, run_id) DO UPDATE SET cursor = NULL
