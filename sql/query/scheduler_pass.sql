-- Everything that a look at the jobs of this database ($2, $3) needs at the time $1: in each row when the next job (of
-- those that are not due yet) and the next retry are due, in seconds; and one row for each job that wants something, the most urgent first. A job with an
-- open run wants nothing: its worker sees to what comes next.
WITH open AS MATERIALIZED (
    SELECT r.job_id FROM sluice._run AS r WHERE r.status IN ('scheduled', 'running', 'publishing')
), payload AS MATERIALIZED (
    SELECT DISTINCT ON (q.job_id) q.job_id, coalesce(q.not_before, q.queued_at) AS at
    FROM sluice._ingest AS q WHERE q.status = 'queued' ORDER BY q.job_id, q.id
), hold AS MATERIALIZED (
    SELECT DISTINCT h.job_id FROM sluice._hold AS h WHERE h.due_at IS NULL OR h.due_at <= $1
), job AS MATERIALIZED (
    -- Where somebody has to connect the connection again, only payloads are due: they need no remote.
    SELECT j.id, j.priority, j.run_every, CASE WHEN c.server_oid IS NULL THEN t.next_run_at END AS next_run_at,
           q.status AS retry, CASE WHEN c.server_oid IS NULL THEN q.next_retry_at END AS next_retry_at,
           c.server_oid IS NOT NULL AS rests,
           -- Payloads wait for the end of a first load: it relies on every row being one of its own.
           CASE WHEN NOT (j.mode = 'replace' AND t.reading AND t.direct) THEN p.at END AS payload_at,
           h.job_id IS NOT NULL AS held,
           j.settings ?| ARRAY['depends_on', 'run_when'] AS waits_for_others,
           a.oid IS NOT NULL AS owned,
           -- No plan reaches further: the clock was set back.
           $1 + interval '31 seconds' + 1.05 * coalesce(
               CASE WHEN t.consecutive_failures > 0 THEN greatest(t.step, j.run_every, interval '6 hours') END,
               CASE WHEN j.schedule = 'adaptive' THEN t.step END, j.run_every) AS furthest
    FROM sluice._job AS j
    JOIN sluice._job_state AS t ON t.job_id = j.id
    LEFT JOIN pg_catalog.pg_authid AS a ON a.oid = j.owner_oid
    LEFT JOIN sluice._retry AS q ON q.job_id = j.id AND q.operation = 'sync' AND q.status IN ('pending', 'processing')
    LEFT JOIN payload AS p ON p.job_id = j.id
    LEFT JOIN hold AS h ON h.job_id = j.id
    LEFT JOIN sluice._waiting_connection AS c ON c.server_oid = j.server_oid
    WHERE j.enabled AND j.paused_at IS NULL AND j.armed_system = $2 AND j.armed_database = $3
      AND j.id NOT IN (SELECT o.job_id FROM open AS o)
      AND NOT EXISTS (SELECT FROM sluice._connection_pause AS z WHERE z.server_oid = j.server_oid)
), next AS (
    SELECT least(min(j.next_run_at) FILTER (WHERE j.next_run_at > $1), min(j.payload_at) FILTER (WHERE j.payload_at > $1)) AS planned,
           min(j.next_retry_at) AS retry
    FROM job AS j
)
SELECT date_part('epoch', n.planned - $1), date_part('epoch', n.retry - $1),
       w.id, w.owned, w.held, w.waits_for_others, date_part('epoch', w.next_run_at - $1), date_part('epoch', w.payload_at - $1),
       w.retry, date_part('epoch', w.next_retry_at - $1), date_part('epoch', w.run_every), w.too_far
FROM next AS n
LEFT JOIN (
    SELECT j.*, coalesce(j.next_run_at > j.furthest, false) AS too_far
    FROM job AS j
    WHERE NOT j.owned
       OR j.payload_at <= $1
       OR (j.retry = 'processing' AND NOT j.rests)
       OR (j.next_run_at <= $1 AND NOT j.held)
       OR j.next_run_at > j.furthest
       OR j.next_retry_at > $1 + interval '45 minutes'
       OR (j.next_run_at IS NULL AND j.run_every IS NOT NULL AND j.retry IS NULL AND NOT j.rests)
) AS w ON true
ORDER BY array_position(ARRAY['high', 'normal', 'low'], w.priority), w.next_run_at, w.id
