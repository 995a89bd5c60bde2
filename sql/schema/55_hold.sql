-- Jobs that their settings depends_on and run_when keep waiting. A job without these settings is in neither view.

-- What each job waits for, by name: a job that was dropped is waited for no longer.
CREATE VIEW sluice._dependency AS
SELECT j.id AS job_id, j.name AS job, x.id AS on_id, x.name AS on_job
FROM sluice._job AS j
CROSS JOIN LATERAL pg_catalog.jsonb_array_elements_text(
    CASE pg_catalog.jsonb_typeof(j.settings -> 'depends_on')
        WHEN 'array' THEN j.settings -> 'depends_on'
        ELSE pg_catalog.jsonb_build_array(j.settings -> 'depends_on')
    END) AS d (name)
JOIN sluice._job AS x ON x.name = d.name
WHERE j.settings ? 'depends_on';

-- The first dependency in the way of each job. A job may run once each of those that it depends on has succeeded since
-- its own last run began, and is neither running, nor waiting for a retry, nor due. `due_at`: only from then on, by the
-- clock of whoever looks.
CREATE VIEW sluice._dependency_hold AS
SELECT DISTINCT ON (d.job_id) d.job_id,
       CASE WHEN NOT w.certain THEN y.next_run_at END AS due_at,
       pg_catalog.format('waits for job "%s", %s', d.on_job, w.why) AS reason,
       CASE WHEN w.needs_person THEN pg_catalog.format('you: see job "%s"', d.on_job) ELSE 'wait' END AS action
FROM sluice._dependency AS d
JOIN sluice._job AS x ON x.id = d.on_id
JOIN sluice._job_state AS y ON y.job_id = d.on_id
LEFT JOIN LATERAL (
    SELECT r.started_at FROM sluice._run AS r
    WHERE r.job_id = d.job_id AND r.task = 'sync' AND r.source <> 'ingest' AND r.started_at IS NOT NULL
    ORDER BY r.id DESC LIMIT 1
) AS own ON true
LEFT JOIN LATERAL (
    SELECT r.status, r.error_class FROM sluice._run AS r
    WHERE r.job_id = d.on_id AND r.task = 'sync' AND r.source <> 'ingest'
    ORDER BY r.id DESC LIMIT 1
) AS last ON true
LEFT JOIN sluice._retry AS q ON q.job_id = d.on_id AND q.operation = 'sync' AND q.status IN ('pending', 'processing')
CROSS JOIN LATERAL (
    SELECT y.last_success_at IS NOT NULL AND (own.started_at IS NULL OR y.last_success_at > own.started_at) AS succeeded,
           coalesce(last.status IN ('scheduled', 'running', 'publishing'), false) AS open,
           x.enabled AND x.paused_at IS NULL AS runs
) AS s
CROSS JOIN LATERAL (
    SELECT NOT s.succeeded OR s.open OR q.id IS NOT NULL AS certain,
           NOT s.open AND q.id IS NULL AND NOT s.succeeded
               AND (NOT s.runs OR last.error_class IS NOT NULL OR coalesce(last.status = 'held', false)) AS needs_person,
           CASE
               WHEN s.open THEN 'which runs'
               WHEN q.id IS NOT NULL THEN pg_catalog.format('which failed (%s) and is tried again', q.error_class)
               WHEN s.succeeded THEN 'which is due'
               WHEN NOT x.enabled THEN 'which is disabled'
               WHEN NOT s.runs THEN 'which is paused'
               WHEN last.status = 'held' THEN 'whose run is held'
               WHEN last.error_class IS NOT NULL THEN pg_catalog.format('which failed (%s)', last.error_class)
               ELSE 'which has not succeeded since the last run of this one'
           END AS why
) AS w
WHERE w.certain OR (s.runs AND y.next_run_at IS NOT NULL)
ORDER BY d.job_id, w.certain DESC, y.next_run_at, d.on_job;

-- What the ledger says of a connection: healthy where no job of it fails, unhealthy where each one does.
CREATE VIEW sluice._connection_standing AS
SELECT c.oid AS server_oid, c.srvname::text AS name,
       CASE
           WHEN count(*) FILTER (WHERE f.ended) = 0 THEN 'unknown'
           WHEN count(*) FILTER (WHERE f.fails) = 0 THEN 'healthy'
           WHEN count(*) FILTER (WHERE f.fails) = count(*) FILTER (WHERE f.ended) THEN 'unhealthy'
           ELSE 'degraded'
       END AS health
FROM pg_catalog.pg_foreign_server AS c
JOIN pg_catalog.pg_foreign_data_wrapper AS w ON w.oid = c.srvfdw AND w.fdwname = 'pg_sluice'
LEFT JOIN sluice._job AS j ON j.server_oid = c.oid
LEFT JOIN sluice._job_state AS t ON t.job_id = j.id
CROSS JOIN LATERAL (
    SELECT t.last_success_at IS NOT NULL OR t.last_failure_at IS NOT NULL AS ended,
           coalesce(t.consecutive_failures, 0) > 0 OR j.enabled IS FALSE AS fails
) AS f
GROUP BY c.oid, c.srvname;

-- Jobs that must not start now, and why: certainly, or once the clock has passed `due_at`.
CREATE VIEW sluice._hold AS
SELECT d.job_id, d.due_at, d.reason, d.action FROM sluice._dependency_hold AS d
UNION ALL
SELECT j.id, NULL, CASE WHEN s.name IS NULL THEN pg_catalog.format('waits for connection "%s", which is not there', k.connection)
                        ELSE pg_catalog.format('waits for connection "%s", which is %s', k.connection, s.health) END,
       CASE WHEN s.name IS NULL THEN 'you: alter_job()' ELSE 'wait' END
FROM sluice._job AS j
CROSS JOIN LATERAL (SELECT j.settings -> 'run_when' ->> 'connection' AS connection,
                           coalesce(j.settings -> 'run_when' ->> 'health', 'healthy') AS least) AS k
LEFT JOIN sluice._connection_standing AS s ON s.name = k.connection
WHERE j.settings ? 'run_when'
  AND NOT coalesce(s.health = 'healthy' OR (s.health = 'degraded' AND k.least = 'degraded'), false);
