-- What comes next is told by the caller, or is what was planned for the job in the same transaction.
INSERT INTO sluice._failure (job_id, run_id, failed_at, page, attempt, error_class, sqlstate, http_status, error_message,
                             error_detail, error_hint, excerpt, default_class, basis, rule_id, rule_name, rule_match,
                             rule_action, next_step, next_at)
SELECT t.job_id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
       coalesce($19, CASE WHEN q.next_retry_at IS NOT NULL THEN 'queued' WHEN t.next_run_at IS NOT NULL THEN 'scheduled'
                          ELSE 'stopped' END),
       coalesce($20, CASE WHEN $19 IS NULL THEN coalesce(q.next_retry_at, t.next_run_at) END)
FROM sluice._job_state AS t
LEFT JOIN sluice._retry AS q ON q.job_id = t.job_id AND q.operation = 'sync' AND q.status = 'pending'
WHERE t.job_id = $1
