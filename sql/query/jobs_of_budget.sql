SELECT j.id
FROM sluice._job AS j
WHERE j.enabled AND j.paused_at IS NULL AND j.armed_system = $2 AND j.armed_database = $3
  AND sluice._budget(j.server_oid) = $1
ORDER BY EXISTS (SELECT FROM sluice._run AS r WHERE r.job_id = j.id AND r.status = 'scheduled') DESC,
         EXISTS (SELECT FROM sluice._retry AS q WHERE q.job_id = j.id AND q.status = 'pending') DESC, j.id
LIMIT 200
