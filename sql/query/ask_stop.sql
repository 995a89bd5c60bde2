UPDATE sluice._run
SET stopped_by = $2,
    status = CASE WHEN status = 'scheduled' THEN 'stopped' ELSE status END,
    finished_at = CASE WHEN status = 'scheduled' THEN clock_timestamp() ELSE finished_at END
WHERE job_id = $1 AND (status IN ('scheduled', 'running', 'publishing')
                       -- It was told before its row could be taken, and has ended first.
                       OR (id = $3 AND status = 'stopped' AND stopped_by IS NULL))
