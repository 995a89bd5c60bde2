SELECT j.id
FROM sluice._job AS j
CROSS JOIN LATERAL (
    SELECT r.status, r.error_class FROM sluice._run AS r
    WHERE r.job_id = j.id AND r.task = 'sync' AND r.source <> 'ingest'
    ORDER BY r.id DESC LIMIT 1
) AS last
WHERE j.server_oid = $1 AND j.enabled AND j.paused_at IS NULL
  AND last.status = 'failed' AND last.error_class = 'auth'
ORDER BY j.id
