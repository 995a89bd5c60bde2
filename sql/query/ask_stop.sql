UPDATE sluice._run
SET stopped_by = $2,
    status = CASE WHEN status = 'scheduled' THEN 'stopped' ELSE status END,
    finished_at = CASE WHEN status = 'scheduled' THEN clock_timestamp() END
WHERE job_id = $1 AND status IN ('scheduled', 'running', 'publishing')
