WITH job AS (
    INSERT INTO sluice._job (name, owner_oid, owner_name, server_oid, server_name, path, target_oid, target_schema,
                             target_table, mode, key, schedule, run_every, priority, settings, armed_system,
                             armed_database)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, make_interval(secs => $13), $14, $15::jsonb, $16, $17)
    RETURNING id, run_every
), state AS (
    -- A job that is not manual has its first run at once.
    INSERT INTO sluice._job_state (job_id, next_run_at)
    SELECT id, CASE WHEN run_every IS NOT NULL THEN now() END FROM job
)
SELECT id FROM job
