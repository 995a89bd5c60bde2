UPDATE sluice._run AS r
SET not_before = NULL, rate_wait = NULL
FROM sluice._job AS j
WHERE r.job_id = j.id AND r.status = 'scheduled' AND r.rate_wait IS NOT NULL AND sluice._budget(j.server_oid) = $1
