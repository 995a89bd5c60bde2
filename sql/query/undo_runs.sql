-- What held before the oldest undone run is what holds after the rollback.
WITH undone AS (
    UPDATE sluice._run
    SET undone_by = $3, status = CASE WHEN status = 'succeeded' THEN 'rolled_back' ELSE status END
    WHERE job_id = $1 AND id > $2 AND id <> $3 AND undone_by IS NULL AND source <> 'rollback'
      AND (status = 'succeeded' OR EXISTS (SELECT FROM sluice._undo AS u WHERE u.run_id = _run.id))
    RETURNING id, before
), gone AS (
    DELETE FROM sluice._undo AS u USING undone AS x WHERE u.run_id = x.id
)
SELECT before::text FROM undone WHERE before IS NOT NULL ORDER BY id LIMIT 1
