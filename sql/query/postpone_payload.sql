UPDATE sluice._ingest
SET attempts = attempts + 1, run_id = $2, not_before = $3, error_class = $4, sqlstate = $5, error_message = $6,
    error_detail = $7, error_hint = $8
WHERE id = (SELECT min(q.id) FROM sluice._ingest AS q WHERE q.job_id = $1 AND q.status = 'queued')
