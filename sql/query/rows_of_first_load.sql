SELECT coalesce(sum(r.inserted), 0)::bigint FROM sluice._run AS r
WHERE r.job_id = $1 AND r.id > $2 AND r.task = 'sync'
  AND r.generation IN (SELECT f.generation FROM sluice._undo AS u JOIN sluice._run AS f ON f.id = u.run_id
                       WHERE u.job_id = $1 AND u.kind = 'first_load' AND u.run_id > $2)
