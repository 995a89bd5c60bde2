SELECT date_part('epoch', min(t.next_run_at) - $1)
FROM sluice._job_state AS t
JOIN sluice._job AS j ON j.id = t.job_id
WHERE j.enabled AND j.paused_at IS NULL AND j.armed_system = $2 AND j.armed_database = $3
  AND NOT EXISTS (SELECT FROM sluice._run AS r
                  WHERE r.job_id = j.id AND r.status IN ('scheduled', 'running', 'publishing'))
