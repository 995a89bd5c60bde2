INSERT INTO sluice._retry (job_id, operation, status, priority, retry_count, max_retries, next_retry_at, run_id,
                           error_class, sqlstate, last_error_message, context)
SELECT j.id, 'sync', 'pending', j.priority::sluice.priority, $2, $3, $4, r.id,
       r.error_class, r.sqlstate, r.error_message,
       pg_catalog.jsonb_build_object('run', r.id, 'page', t.page_number, 'generation', t.generation)
FROM sluice._run AS r
JOIN sluice._job AS j ON j.id = r.job_id
JOIN sluice._job_state AS t ON t.job_id = j.id
WHERE r.id = $1
ON CONFLICT (job_id, operation) WHERE status IN ('pending', 'processing')
DO UPDATE SET status = 'pending', priority = excluded.priority, retry_count = excluded.retry_count,
              max_retries = excluded.max_retries, next_retry_at = excluded.next_retry_at, run_id = excluded.run_id,
              error_class = excluded.error_class, sqlstate = excluded.sqlstate,
              last_error_message = excluded.last_error_message, context = excluded.context, updated_at = clock_timestamp()
