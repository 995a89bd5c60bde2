UPDATE sluice._retry AS q
SET status = 'processing', retry_count = q.retry_count + 1, next_retry_at = NULL, updated_at = clock_timestamp()
FROM (SELECT w.id
      FROM sluice._retry AS w
      JOIN sluice._job AS j ON j.id = w.job_id
      WHERE w.status = 'pending' AND w.next_retry_at <= $1
        AND j.enabled AND j.paused_at IS NULL AND j.armed_system = $2 AND j.armed_database = $3
        AND NOT EXISTS (SELECT FROM sluice._connection_pause AS p WHERE p.server_oid = j.server_oid)
        AND NOT EXISTS (SELECT FROM sluice._run AS r
                        WHERE r.job_id = j.id AND r.status IN ('scheduled', 'running', 'publishing'))
        AND j.server_oid NOT IN (SELECT c.server_oid FROM sluice._waiting_connection AS c)
      ORDER BY w.priority DESC, w.created_at, w.id
      LIMIT $4
      FOR UPDATE OF w SKIP LOCKED) AS due
WHERE q.id = due.id
RETURNING q.id, q.job_id, q.operation, q.retry_count
