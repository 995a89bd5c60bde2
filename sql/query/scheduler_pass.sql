-- Everything that a look at the jobs of this database ($2, $3) needs at the time $1: in each row when the next job (of
-- those that are not due yet) and the next retry are due, in seconds; and one row for each job that wants something, the most urgent first. A job with an
-- open run wants nothing: its worker sees to what comes next.
--
-- All jobs are looked at, at every start and end of a run: each is compared with small sets that are read once, and what
-- concerns few (a retry, a payload, what keeps a due job waiting) is looked up for those alone.
WITH job AS MATERIALIZED (
    -- Where somebody has to connect the connection again, only payloads are due: they need no remote.
    SELECT j.id, j.priority, j.run_every, CASE WHEN c.server_oid IS NULL THEN t.next_run_at END AS next_run_at,
           c.server_oid IS NOT NULL AS rests,
           j.id IN (SELECT q.job_id FROM sluice._retry AS q WHERE q.operation = 'sync' AND q.status IN ('pending', 'processing'))
               AS retries,
           -- Payloads wait for the end of a first load: it relies on every row being one of its own.
           CASE WHEN j.id IN (SELECT q.job_id FROM sluice._ingest AS q WHERE q.status = 'queued')
                     AND NOT (j.mode = 'replace' AND t.reading AND t.direct)
                THEN (SELECT coalesce(q.not_before, q.queued_at) FROM sluice._ingest AS q
                      WHERE q.job_id = j.id AND q.status = 'queued' ORDER BY q.id LIMIT 1) END AS payload_at,
           j.settings ?| ARRAY['depends_on', 'run_when'] AS waits_for_others,
           j.owner_oid IN (SELECT a.oid FROM pg_catalog.pg_authid AS a) AS owned,
           -- No plan reaches further: the clock was set back.
           $1 + interval '31 seconds' + 1.05 * coalesce(
               CASE WHEN t.consecutive_failures > 0 THEN greatest(t.step, j.run_every, interval '6 hours') END,
               CASE WHEN j.schedule = 'adaptive' THEN t.step END, j.run_every) AS furthest
    FROM sluice._job AS j
    JOIN sluice._job_state AS t ON t.job_id = j.id
    LEFT JOIN sluice._waiting_connection AS c ON c.server_oid = j.server_oid
    -- In one piece: taken apart, these conditions seem to leave one job, and the plan is made for one.
    WHERE coalesce(j.enabled AND j.paused_at IS NULL AND j.armed_system = $2 AND j.armed_database = $3, false)
      AND j.id NOT IN (SELECT r.job_id FROM sluice._run AS r WHERE r.status IN ('scheduled', 'running', 'publishing'))
      AND j.server_oid NOT IN (SELECT z.server_oid FROM sluice._connection_pause AS z)
), retry AS MATERIALIZED (
    SELECT j.id, q.status, CASE WHEN NOT j.rests THEN q.next_retry_at END AS next_retry_at
    FROM job AS j
    JOIN sluice._retry AS q ON q.job_id = j.id AND q.operation = 'sync' AND q.status IN ('pending', 'processing')
    WHERE j.retries
), next AS (
    SELECT least(min(j.next_run_at) FILTER (WHERE j.next_run_at > $1), min(j.payload_at) FILTER (WHERE j.payload_at > $1)) AS planned,
           (SELECT min(q.next_retry_at) FROM retry AS q) AS retry
    FROM job AS j
), want AS MATERIALIZED (
    SELECT j.*, coalesce(j.next_run_at > j.furthest, false) AS too_far, q.status AS retry, q.next_retry_at,
           CASE WHEN j.next_run_at <= $1 AND j.waits_for_others
                THEN j.id IN (SELECT h.job_id FROM sluice._hold AS h WHERE h.due_at IS NULL OR h.due_at <= $1)
                ELSE false END AS held
    FROM job AS j
    LEFT JOIN retry AS q ON q.id = j.id
    WHERE NOT j.owned
       OR j.payload_at <= $1
       OR j.next_run_at <= $1
       OR j.next_run_at > j.furthest
       OR (j.retries AND NOT j.rests)
       OR (j.next_run_at IS NULL AND j.run_every IS NOT NULL AND NOT j.retries AND NOT j.rests)
)
SELECT date_part('epoch', n.planned - $1), date_part('epoch', n.retry - $1),
       w.id, w.owned, w.held, w.waits_for_others, date_part('epoch', w.next_run_at - $1), date_part('epoch', w.payload_at - $1),
       w.retry, date_part('epoch', w.next_retry_at - $1), date_part('epoch', w.run_every), w.too_far
FROM next AS n
LEFT JOIN want AS w
       ON NOT w.owned
       OR w.payload_at <= $1
       OR (w.retry = 'processing' AND NOT w.rests)
       OR (w.next_run_at <= $1 AND NOT w.held)
       OR w.too_far
       OR w.next_retry_at > $1 + interval '45 minutes'
       OR (w.next_run_at IS NULL AND w.run_every IS NOT NULL AND w.retry IS NULL AND NOT w.rests)
ORDER BY array_position(ARRAY['high', 'normal', 'low'], w.priority), w.next_run_at, w.id
