-- Asks for the runs of jobs that are due, in their order: those that are in time, and those ($2 says which) that make up
-- for missed times after a delay in seconds ($3). The plan that they serve is kept, so that no time is served twice.
WITH due AS (
    SELECT d.id, d.catches_up, d.delay, d.place
    FROM unnest($1::bigint[], $2::boolean[], $3::double precision[]) WITH ORDINALITY AS d (id, catches_up, delay, place)
), asked AS (
    INSERT INTO sluice._run (job_id, source, requested_by, status, not_before)
    SELECT j.id, CASE WHEN d.catches_up THEN 'catch_up' ELSE 'schedule' END, 'scheduler', 'scheduled',
           CASE WHEN d.catches_up THEN $4 + make_interval(secs => d.delay) END
    FROM due AS d JOIN sluice._job AS j ON j.id = d.id
    ORDER BY d.place
    ON CONFLICT (job_id) WHERE status IN ('scheduled', 'running', 'publishing') DO NOTHING
    RETURNING job_id
)
UPDATE sluice._job_state AS t
SET last_due_at = t.next_run_at, next_run_at = NULL
FROM asked AS a
WHERE t.job_id = a.job_id
