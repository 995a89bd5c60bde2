UPDATE sluice._run
SET status = 'scheduled', not_before = $2, rate_wait = $3, finished_at = NULL,
    -- Waiting is no attempt.
    attempt = greatest(0, attempt - CASE WHEN status = 'scheduled' THEN 0 ELSE 1 END)
WHERE id = $1 AND status IN ('scheduled', 'running') AND stopped_by IS NULL
