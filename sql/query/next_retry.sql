SELECT date_part('epoch', min(q.next_retry_at) - $1)
FROM sluice._retry AS q
JOIN sluice._job AS j ON j.id = q.job_id
WHERE q.status = 'pending' AND j.enabled AND j.paused_at IS NULL AND j.armed_system = $2 AND j.armed_database = $3
  AND NOT EXISTS (SELECT FROM sluice._connection_pause AS z WHERE z.server_oid = j.server_oid)
  AND NOT EXISTS (SELECT FROM sluice._run AS r
                  WHERE r.job_id = j.id AND r.status IN ('scheduled', 'running', 'publishing'))
  AND j.server_oid NOT IN (SELECT c.server_oid FROM sluice._waiting_connection AS c)
