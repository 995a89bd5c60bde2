UPDATE sluice._retry AS q
SET next_retry_at = least(q.next_retry_at, $2), updated_at = clock_timestamp()
FROM sluice._job AS j
WHERE q.job_id = j.id AND q.status = 'pending' AND q.error_class IN ('network', 'timeout', 'server', 'rate_limit')
  AND sluice._budget(j.server_oid) = $1
