UPDATE sluice._job
SET path = $2, mode = $3, key = $4, schedule = $5, run_every = make_interval(secs => $6), priority = $7,
    settings = $8::jsonb, server_oid = $9, server_name = $10, updated_at = now()
WHERE id = $1
