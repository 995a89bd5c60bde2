SELECT c.id, a.id, a.name, a.function_schema, a.function_name, a.function_owner, a.connection, a.path,
       date_part('epoch', a.time_limit), c.payload::text, c.attempts
FROM sluice._alert_call AS c
JOIN sluice._alert AS a ON a.id = c.alert_id
JOIN sluice._visible_job AS j ON j.id = c.job_id AND j.armed
WHERE c.status = 'pending' AND c.next_retry_at <= $1 AND ($2::bigint IS NULL OR c.alert_id = $2)
  AND NOT EXISTS (SELECT FROM sluice._alert_call AS o WHERE o.alert_id = c.alert_id AND o.job_id = c.job_id
                  AND o.id < c.id AND o.status IN ('pending', 'processing'))
ORDER BY c.next_retry_at, c.id
LIMIT 1
