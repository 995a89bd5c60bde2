-- A run that no worker has taken ends at once: with the retry that it stood for, or, where it was approved, back to the
-- decision.
WITH asked AS (
    UPDATE sluice._run AS r
    SET status = CASE WHEN r.status <> 'scheduled' THEN r.status WHEN r.approved_by IS NULL THEN 'stopped' ELSE 'held' END,
        stopped_by = CASE WHEN r.status = 'scheduled' AND r.approved_by IS NOT NULL THEN NULL ELSE $2 END,
        approved_by = CASE WHEN r.status <> 'scheduled' THEN r.approved_by END,
        approved_at = CASE WHEN r.status <> 'scheduled' THEN r.approved_at END,
        finished_at = CASE WHEN r.status = 'scheduled' THEN coalesce(r.finished_at, clock_timestamp()) ELSE r.finished_at END
    WHERE r.job_id = $1 AND (r.status IN ('scheduled', 'running', 'publishing')
                             -- It was told before its row could be taken, and has ended first.
                             OR (r.id = $3 AND r.status = 'stopped' AND r.stopped_by IS NULL))
    RETURNING r.job_id, r.status, r.task, r.source
), ended AS (
    UPDATE sluice._retry AS q
    SET status = 'completed', updated_at = clock_timestamp()
    FROM asked AS a
    WHERE a.status = 'stopped' AND a.task = 'sync' AND a.source <> 'ingest'
      AND q.job_id = a.job_id AND q.operation = 'sync' AND q.status = 'processing'
)
SELECT FROM asked
