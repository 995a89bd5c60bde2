-- A run may keep its undo set under an interrupted run of the same read.
SELECT EXISTS (
    SELECT FROM sluice._run AS r
    WHERE r.job_id = $1 AND r.id > $2 AND r.status = 'succeeded' AND r.publishes
      AND r.inserted + r.updated + r.deleted > 0
      AND NOT EXISTS (SELECT FROM sluice._undo AS u JOIN sluice._run AS o ON o.id = u.run_id
                      WHERE u.job_id = $1 AND (o.id = r.id OR o.generation = r.generation))
)
