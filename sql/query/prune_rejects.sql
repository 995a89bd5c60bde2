-- Those of kept reads stay: of those that they came with, and of those that had them again. Of others only what still
-- waits, the newest 10,000: an upsert does not send it again.
DELETE FROM sluice._reject AS x
WHERE x.job_id = $1
  AND NOT EXISTS (SELECT FROM unnest($2) AS g (kept) WHERE g.kept = x.generation OR g.kept > x.generation AND g.kept < x.until)
  AND (x.until IS NOT NULL
       OR x.generation > coalesce((SELECT t.whole_generation FROM sluice._job_state AS t WHERE t.job_id = $1), 0))
  AND (x.status <> 'rejected'
       OR x.id <= coalesce((SELECT w.id FROM sluice._reject AS w WHERE w.job_id = $1 AND w.status = 'rejected'
                            ORDER BY w.id DESC OFFSET 10000 LIMIT 1), 0))
