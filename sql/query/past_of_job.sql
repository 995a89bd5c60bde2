-- What the next time of a job depends on: seconds from $2 back to the start of its last read and to the time that was
-- served last, and its present step.
SELECT date_part('epoch', $2 - (SELECT r.started_at FROM sluice._run AS r
                                WHERE r.job_id = $1 AND r.task = 'sync' AND r.source <> 'ingest' AND r.started_at IS NOT NULL
                                ORDER BY r.id DESC LIMIT 1)),
       date_part('epoch', $2 - t.last_due_at), date_part('epoch', t.step)
FROM sluice._job_state AS t
WHERE t.job_id = $1
