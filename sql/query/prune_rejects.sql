-- Those of kept reads stay. Of others only what still waits, the newest 10,000: an upsert does not send it again.
DELETE FROM sluice._reject AS x
WHERE x.job_id = $1 AND x.generation <> ALL ($2)
  AND (x.status <> 'rejected'
       OR x.id <= coalesce((SELECT w.id FROM sluice._reject AS w WHERE w.job_id = $1 AND w.status = 'rejected'
                            ORDER BY w.id DESC OFFSET 10000 LIMIT 1), 0))
