UPDATE sluice._job_state
SET published_definition = $12, reading = false, complete = false, published_generation = $2, published_run = $3, published_rows = $4,
    published_version = $5, skip_valid = $6 AND NOT (direct AND ingested), verified_at = CASE WHEN $7 THEN $8 ELSE verified_at END,
    whole_generation = CASE WHEN $9 THEN $2 ELSE whole_generation END, whole_version = CASE WHEN $9 THEN $5 ELSE whole_version END,
    cursor = $10, whole_at = CASE WHEN $11 THEN generation_started_at ELSE whole_at END,
    last_success_at = CASE WHEN $13 THEN $8 ELSE last_success_at END,
    consecutive_failures = CASE WHEN $13 THEN 0 ELSE consecutive_failures END, crashes = 0, updated_at = $8
WHERE job_id = $1
