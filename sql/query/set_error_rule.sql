INSERT INTO sluice._error_rule AS r (name, job_id, server_oid, server_name, priority, pattern, error_class, action, hint,
                                     pause_for, set_by)
VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7, $8, $9, make_interval(secs => $10), $11)
ON CONFLICT (name) DO UPDATE
SET armed_in = excluded.armed_in, job_id = excluded.job_id, server_oid = excluded.server_oid, server_name = excluded.server_name,
    priority = excluded.priority, pattern = excluded.pattern, error_class = excluded.error_class, action = excluded.action,
    hint = excluded.hint, pause_for = excluded.pause_for, set_by = excluded.set_by, set_at = clock_timestamp()
RETURNING r.id
