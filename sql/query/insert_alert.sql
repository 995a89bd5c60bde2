INSERT INTO sluice._alert (name, events, job_id, after_failures, function_schema, function_name, function_owner, connection, path,
                           time_limit, created_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, make_interval(secs => $10), $11)
ON CONFLICT (name) DO NOTHING
RETURNING id
