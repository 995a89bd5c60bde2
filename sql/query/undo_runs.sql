-- What held before the oldest undone run that changed something is what holds after the rollback: of runs that changed
-- nothing the pages may be gone, and what they found missing is still missing.
WITH undone AS (
    UPDATE sluice._run
    SET undone_by = $3, status = CASE WHEN status = 'succeeded' THEN 'rolled_back' ELSE status END
    WHERE job_id = $1 AND id > $2 AND id <> $3 AND undone_by IS NULL AND publishes
      AND (status = 'succeeded' OR EXISTS (SELECT FROM sluice._undo AS u WHERE u.run_id = _run.id))
    RETURNING id, before, generation
), gone AS (
    DELETE FROM sluice._undo AS u USING undone AS x WHERE u.run_id = x.id
), unknown AS (
    DELETE FROM sluice._ingested AS i USING undone AS x WHERE i.job_id = $1 AND i.run_id = x.id
), back AS (
    UPDATE sluice._ingested AS i SET gone_by = NULL FROM undone AS x
    WHERE i.job_id = $1 AND i.gone_by = x.id AND NOT EXISTS (SELECT FROM undone AS y WHERE y.id = i.run_id)
)
SELECT x.before::text FROM undone AS x
WHERE x.before IS NOT NULL
  AND EXISTS (SELECT FROM sluice._undo AS u JOIN sluice._run AS o ON o.id = u.run_id
              WHERE u.job_id = $1 AND (o.id = x.id OR o.generation = x.generation))
ORDER BY x.id LIMIT 1
