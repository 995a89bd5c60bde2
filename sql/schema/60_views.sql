-- What people and dashboards look at. Every view shows a role its own rows; pg_monitor, operators and admins see all.

-- Markers: whoever may execute one has that level (see 80_access.sql).
CREATE FUNCTION sluice._monitor_level() RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN true;
CREATE FUNCTION sluice._writer_level() RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN true;
CREATE FUNCTION sluice._operator_level() RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN true;
CREATE FUNCTION sluice._admin_level() RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN true;

-- Errors about data quote it, in PostgreSQL's texts and in those of triggers, which may have codes of their own (they
-- arrive as XX000): only of these classes is it known that they speak of something else.
CREATE FUNCTION sluice._may_quote(sqlstate text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN left(sqlstate, 2) NOT IN ('08', '0A', '25', '26', '28', '2B', '3D', '3F', '40', '42', '53', '54', '55', '57', '58', 'HV',
                                 'SY');

-- Hints of errors about data are ours; those of other errors that may quote are the trigger's.
CREATE FUNCTION sluice._hinted(hint text, sqlstate text, own boolean) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN own OR left(sqlstate, 2) IN ('21', '22', '23') OR sluice._may_quote(sqlstate) IS NOT TRUE THEN hint END;

-- An error's message: in full for those who have the rights of the job's owner, and may read the data. Our own messages
-- of wrong answers and definitions quote nothing; their details do.
CREATE FUNCTION sluice._told(message text, sqlstate text, error_class text, own boolean) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN own OR sqlstate = '22032' OR error_class IN ('config', 'auth') OR sluice._may_quote(sqlstate) IS NOT TRUE
            THEN message
            ELSE 'an error that may quote data (' || sqlstate || '), whose text is for the job''s owner' END;

-- A detail quotes what a remote said, too.
CREATE FUNCTION sluice._detailed(detail text, sqlstate text, own boolean) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN own OR NOT sluice._may_quote(sqlstate) AND left(sqlstate, 2) NOT IN ('08', '28') THEN detail END;

-- The jobs that the current user may see, with what the catalogs say of them now.
CREATE VIEW sluice._visible_job WITH (security_barrier) AS
SELECT j.*,
       coalesce(pg_catalog.pg_has_role(o.oid, 'USAGE'), false) AS own,
       o.oid AS owner_now,
       s.srvname::text AS current_server,
       pg_catalog.pg_get_userbyid(c.relowner)::text AS run_as,
       c.oid IS NOT NULL AS target_exists,
       coalesce(n.nspname::text, j.target_schema) AS current_schema_name,
       coalesce(c.relname::text, j.target_table) AS current_table_name,
       i.stamped,
       f.fault AS arm_file_fault,
       i.stamped AND f.fault IS NULL AS armed
FROM sluice._job AS j
CROSS JOIN LATERAL (
    SELECT (j.armed_system, j.armed_database) IS NOT DISTINCT FROM
           ((SELECT c.system_identifier FROM pg_catalog.pg_control_system() AS c),
            (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())) AS stamped
) AS i
CROSS JOIN LATERAL (SELECT CASE WHEN i.stamped THEN j.owner_oid ELSE sluice._role_now(NULL, j.owner_name, NULL) END AS oid) AS o
-- Once, whatever the number of jobs.
CROSS JOIN (SELECT sluice._arm_file_fault() AS fault OFFSET 0) AS f
-- Of a restored job they may be anything's.
LEFT JOIN pg_catalog.pg_foreign_server AS s ON s.oid = j.server_oid AND i.stamped
LEFT JOIN pg_catalog.pg_class AS c ON c.oid = j.target_oid AND i.stamped
LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE pg_catalog.pg_has_role(o.oid, 'USAGE')
   OR pg_catalog.pg_has_role('pg_monitor', 'USAGE')
   OR pg_catalog.has_function_privilege('sluice._monitor_level()', 'EXECUTE')
   OR pg_catalog.has_function_privilege('sluice._operator_level()', 'EXECUTE');

CREATE VIEW sluice.sync_jobs WITH (security_barrier) AS
SELECT j.name,
       CASE WHEN j.stamped THEN pg_catalog.pg_get_userbyid(j.owner_oid)::text ELSE j.owner_name END AS owner,
       j.run_as,
       coalesce(j.current_server, j.server_name) AS connection,
       j.path,
       pg_catalog.format('%I.%I', j.current_schema_name, j.current_table_name) AS target,
       j.mode,
       j.key,
       j.schedule,
       j.priority,
       j.settings,
       j.enabled AND j.paused_at IS NULL AS enabled,
       j.armed,
       t.next_run_at,
       j.paused_at,
       j.pause_reason,
       j.disabled_reason,
       j.created_at,
       CASE WHEN j.schedule ILIKE 'adaptive' THEN t.step_reason END AS schedule_reason
FROM sluice._visible_job AS j
JOIN sluice._job_state AS t ON t.job_id = j.id;

CREATE VIEW sluice.sync_runs WITH (security_barrier) AS
SELECT r.id,
       j.name AS data_type,
       r.source,
       r.requested_by,
       r.status,
       r.attempt,
       r.generation,
       r.started_at,
       r.finished_at,
       r.pages,
       r.records,
       r.inserted,
       r.updated,
       r.deleted,
       r.unchanged,
       r.rejected,
       r.bytes,
       r.error_class,
       r.sqlstate,
       sluice._told(r.error_message, r.sqlstate, r.error_class, j.own) AS error_message,
       sluice._detailed(r.error_detail, r.sqlstate, j.own) AS error_detail,
       sluice._hinted(r.error_hint, r.sqlstate, j.own) AS error_hint,
       r.unconfirmed,
       r.held_reason,
       r.created_at,
       r.task,
       r.answer,
       r.removals,
       r.failed_requests
FROM sluice._run AS r
JOIN sluice._visible_job AS j ON j.id = r.job_id;

-- Records of published reads that wait to be mended: how many, and how many of them have no readable key.
CREATE VIEW sluice._open_rejects AS
SELECT x.job_id, count(*) AS open, count(*) FILTER (WHERE x.key_fields IS NULL) AS without_key
FROM sluice._reject AS x
JOIN sluice._job_state AS t ON t.job_id = x.job_id AND x.generation <= t.published_generation
WHERE x.status = 'rejected'
GROUP BY x.job_id;

CREATE VIEW sluice.sync_held WITH (security_barrier) AS
SELECT r.id AS run_id,
       j.name AS data_type,
       r.held_reason AS reason,
       r.finished_at AS held_since,
       r.records,
       t.published_rows AS rows_now,
       r.approved_by
FROM sluice._run AS r
JOIN sluice._visible_job AS j ON j.id = r.job_id
JOIN sluice._job_state AS t ON t.job_id = j.id
WHERE r.status = 'held';

-- Payloads of webhooks that wait or were set aside. The payload itself is data: it is for roles with the rights of the
-- job's owner.
CREATE VIEW sluice.sync_ingest WITH (security_barrier) AS
SELECT q.id,
       j.name AS data_type,
       q.status,
       q.queued_at,
       q.queued_by,
       q.bytes,
       q.attempts,
       CASE WHEN q.status = 'queued' THEN q.not_before END AS retry_at,
       CASE
           WHEN q.status = 'failed' THEN 'you: retry_ingest() or drop_ingest()'
           WHEN j.arm_file_fault IS NOT NULL THEN 'you: the arm file'
           WHEN NOT j.armed THEN 'you: arm()'
           WHEN NOT j.enabled OR j.paused_at IS NOT NULL THEN 'you: resume_job()'
           WHEN j.mode = 'replace' AND t.reading AND t.direct THEN 'the end of the first load'
           WHEN EXISTS (SELECT FROM sluice._run AS r WHERE r.job_id = j.id
                        AND r.status IN ('scheduled', 'running', 'publishing')) THEN 'the run under way'
           WHEN q.not_before > pg_catalog.now() THEN 'the next try'
           ELSE 'a worker'
       END AS waits_for,
       q.run_id,
       q.error_class,
       q.sqlstate,
       sluice._told(q.error_message, q.sqlstate, q.error_class, j.own) AS error_message,
       sluice._detailed(q.error_detail, q.sqlstate, j.own) AS error_detail,
       sluice._hinted(q.error_hint, q.sqlstate, j.own) AS error_hint,
       CASE WHEN j.own THEN q.payload END AS payload
FROM sluice._ingest AS q
JOIN sluice._visible_job AS j ON j.id = q.job_id
JOIN sluice._job_state AS t ON t.job_id = j.id;

-- The parents of the latest read of a job with the setting "foreach". Their values are data: they are for roles with the
-- rights of the job's owner.
CREATE VIEW sluice.sync_parents WITH (security_barrier) AS
SELECT j.name AS data_type,
       p.generation,
       p.ordinal,
       p.state,
       p.pages,
       p.records,
       p.error_message,
       CASE WHEN j.own THEN p.columns END AS columns,
       -- While the job has none, none of a parent counts.
       CASE WHEN j.own AND t.cursor IS NOT NULL THEN c.cursor END AS cursor
FROM sluice._parent AS p
JOIN sluice._visible_job AS j ON j.id = p.job_id
JOIN sluice._job_state AS t ON t.job_id = p.job_id AND t.generation = p.generation
LEFT JOIN sluice._latest_parent_cursor AS c ON c.job_id = p.job_id AND c.identity = p.identity;

CREATE VIEW sluice.sync_progress WITH (security_barrier) AS
SELECT w.pid,
       j.name AS data_type,
       w.run_id,
       w.phase,
       w.pages_done,
       w.pages_total,
       w.records_done,
       w.bytes_done,
       CASE WHEN w.last_progress_at > w.started_at AND w.records_done > 0
            THEN (w.records_done / extract(epoch FROM w.last_progress_at - w.started_at))::double precision
       END AS rate,
       w.started_at,
       w.last_progress_at,
       pg_catalog.make_interval(secs => w.silent) AS silent_for
FROM sluice._workers() AS w
JOIN sluice._visible_job AS j ON j.id = w.job_id;

-- The jobs whose lock is held: a worker is alive for them, whatever a row says.
CREATE VIEW sluice._running_job AS
SELECT l.objid::bigint AS job_id, l.pid
FROM pg_catalog.pg_locks AS l
WHERE l.locktype = 'object'
  AND l.classid = 'sluice._job'::pg_catalog.regclass
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
  AND l.granted;

CREATE VIEW sluice.sync_status WITH (security_barrier) AS
WITH job AS MATERIALIZED (
    SELECT j.*, t.next_run_at, t.last_success_at, t.last_page_at, t.published_run,
           CASE WHEN j.schedule ILIKE 'adaptive' THEN t.step_reason END AS step_reason
    FROM sluice._visible_job AS j
    JOIN sluice._job_state AS t ON t.job_id = j.id
), hold AS MATERIALIZED (
    -- Looked at once, and not for each job: the cost of that would have the server compile the query.
    SELECT DISTINCT ON (x.job_id) x.job_id, x.reason, x.action FROM sluice._hold AS x
    WHERE x.due_at IS NULL OR x.due_at <= pg_catalog.now()
    ORDER BY x.job_id, x.reason
), standing AS MATERIALIZED (
    SELECT j.id, j.name, j.arm_file_fault, j.next_run_at, j.last_success_at, j.armed AND j.current_server IS NULL AS unconnected, j.server_name, j.current_server, j.paused_at, j.pause_reason, j.disabled_reason,
           z.server_oid IS NOT NULL AS connection_paused, z.until AS connection_until, z.reason AS connection_reason,
           r.id AS run_id, r.status AS run_status, r.records, r.pages, r.unconfirmed, r.started_at,
           r.finished_at, r.error_class, sluice._told(r.error_message, r.sqlstate, r.error_class, j.own) AS error_message,
           sluice._hinted(r.error_hint, r.sqlstate, j.own) AS error_hint, r.held_reason, r.not_before, r.rate_wait,
           p.run_id IS NOT NULL AS live, p.phase, p.pages_done, p.pages_total, p.records_done, p.rate,
           p.last_progress_at, q.next_retry_at, coalesce(o.open, 0) AS open_rejects, j.step_reason, h.reason AS hold_reason,
           h.action AS hold_action,
           g.state = 'reauth_required' AS awaits_consent, sluice._told(g.error_message, g.sqlstate, g.error_class, j.own) AS consent_message, g.error_hint AS consent_hint,
           g.needs_person,
           CASE
               WHEN NOT j.armed THEN 'not_armed'
               WHEN NOT j.enabled THEN 'disabled'
               WHEN r.status = 'publishing' AND k.pid IS NOT NULL THEN 'publishing'
               WHEN r.status = 'running' AND k.pid IS NOT NULL THEN 'running'
               WHEN j.paused_at IS NOT NULL AND (r.status IS NULL OR r.task = 'sync' OR r.status <> 'scheduled')
                   THEN 'paused'
               WHEN z.server_oid IS NOT NULL AND (r.status IS NULL OR r.task = 'sync' OR r.status <> 'scheduled') THEN 'paused'
               WHEN r.status = 'scheduled' AND r.rate_wait IS NOT NULL AND r.not_before > pg_catalog.now()
                   THEN 'waiting_for_rate'
               WHEN r.status IN ('scheduled', 'running', 'publishing') AND sluice._waits_for_worker(j.id)
                   THEN 'waiting_for_worker'
               WHEN r.status IN ('scheduled', 'running', 'publishing') THEN 'scheduled'
               WHEN q.next_retry_at IS NOT NULL THEN 'waiting_for_retry'
               WHEN h.reason IS NOT NULL THEN 'scheduled'
               WHEN j.next_run_at <= pg_catalog.now() AND sluice._waits_for_worker(j.id) THEN 'waiting_for_worker'
               WHEN r.status = 'held' THEN 'held'
               ELSE 'idle'
           END AS status
    FROM job AS j
    LEFT JOIN LATERAL (
        SELECT x.* FROM sluice._run AS x
        WHERE x.job_id = j.id
          -- What became of payloads is told as long as one of them is there that tells it; else reads are what counts.
          AND (x.source <> 'ingest' OR x.status IN ('scheduled', 'running', 'publishing')
               OR EXISTS (SELECT FROM sluice._ingest AS q WHERE q.run_id = x.id))
        ORDER BY x.id DESC LIMIT 1
    ) AS r ON true
    LEFT JOIN sluice._open_rejects AS o ON o.job_id = j.id
    LEFT JOIN sluice._retry AS q ON q.job_id = j.id AND q.operation = 'sync' AND q.status = 'pending'
    LEFT JOIN sluice._connection_pause AS z ON z.server_oid = j.server_oid
    LEFT JOIN sluice._oauth AS g ON g.server_oid = j.server_oid AND j.armed AND g.state = 'reauth_required'
        AND (g.armed_system, g.armed_database) = (j.armed_system, j.armed_database)
    LEFT JOIN sluice._running_job AS k ON k.job_id = j.id
    LEFT JOIN sluice.sync_progress AS p ON p.run_id = r.id
    -- Due, and kept waiting by other jobs or by a connection.
    LEFT JOIN hold AS h ON h.job_id = j.id AND j.next_run_at <= pg_catalog.now()
        AND coalesce(r.status, '') NOT IN ('scheduled', 'running', 'publishing')
)
SELECT s.name AS data_type,
       s.status,
       CASE
           WHEN s.status IN ('running', 'publishing') AND s.pages_total > 0
               THEN least(100, round(100.0 * s.pages_done / s.pages_total, 1))
           WHEN s.run_status = 'succeeded' THEN 100
       END AS percent,
       CASE WHEN s.status IN ('running', 'publishing') THEN round(s.rate::numeric, 0) END AS rate,
       -- The total is what the remote says: one that would take more than a hundred years is not believed.
       CASE WHEN s.status = 'running' AND s.pages_total > s.pages_done AND s.pages_done > 0
             AND extract(epoch FROM s.last_progress_at - s.started_at)::double precision
                 * (s.pages_total - s.pages_done) / s.pages_done < 3155760000
            THEN date_trunc('second', (s.last_progress_at - s.started_at) * (s.pages_total - s.pages_done) / s.pages_done)
       END AS eta,
       CASE WHEN s.status = 'paused' AND s.paused_at IS NULL
            THEN date_trunc('second', greatest(s.connection_until, coalesce(s.next_retry_at, s.next_run_at, s.connection_until)))
            WHEN s.status NOT IN ('not_armed', 'disabled', 'paused') AND s.awaits_consent IS NOT TRUE
            THEN date_trunc('second', CASE WHEN s.status = 'waiting_for_rate' THEN s.not_before
                                           ELSE coalesce(s.next_retry_at, s.next_run_at) END) END AS next_run_at,
       CASE
           WHEN s.status = 'not_armed' THEN coalesce(s.arm_file_fault, 'this database was restored, copied or upgraded')
           WHEN s.unconnected THEN pg_catalog.format('connection "%s" was dropped', s.server_name)
           WHEN s.status = 'disabled' THEN coalesce(s.disabled_reason, s.error_message)
           WHEN s.status = 'paused' AND s.paused_at IS NULL THEN pg_catalog.format(
               'connection "%s" is paused%s', s.current_server, coalesce(': ' || s.connection_reason, ''))
           WHEN s.status = 'paused' THEN coalesce(s.error_message, s.pause_reason)
           WHEN s.status = 'waiting_for_rate' THEN s.rate_wait
           WHEN s.awaits_consent AND s.status IN ('idle', 'waiting_for_retry') THEN coalesce(s.consent_message, s.error_message, 'the connection is not connected')
           WHEN s.run_status = 'held' THEN coalesce(s.held_reason, s.error_message)
           WHEN s.run_status IN ('superseded', 'discarded') THEN NULL
           ELSE s.error_message
       END AS error_message,
       CASE
           WHEN s.status = 'not_armed' AND s.arm_file_fault IS NOT NULL THEN 'you: the arm file'
           WHEN s.status = 'not_armed' THEN 'you: arm()'
           WHEN s.unconnected THEN 'you: alter_job()'
           WHEN s.status = 'paused' AND s.paused_at IS NULL THEN
               CASE WHEN s.connection_until IS NULL THEN 'you: resume_connection()' ELSE 'wait' END
           WHEN s.status IN ('disabled', 'paused') THEN 'you: resume_job()'
           WHEN s.status = 'held' THEN 'you: approve or discard'
           WHEN s.awaits_consent AND s.status IN ('idle', 'waiting_for_retry')
               THEN CASE WHEN s.needs_person THEN 'you: begin_oauth()' ELSE 'wait' END
           WHEN s.hold_action IS NOT NULL THEN s.hold_action
           WHEN s.status IN ('running', 'publishing', 'scheduled', 'waiting_for_worker', 'waiting_for_retry', 'waiting_for_rate')
               THEN 'wait'
           WHEN s.error_class IN ('network', 'timeout', 'server', 'rate_limit', 'empty') THEN 'remote'
           WHEN s.error_class IN ('database', 'resource', 'cancelled') THEN 'wait'
           WHEN s.error_class IS NOT NULL THEN 'you: see hint'
           ELSE 'nobody'
       END AS action,
       s.run_id,
       coalesce(s.pages_done, s.pages) AS current_page,
       coalesce(s.records_done, s.records) AS records_processed,
       nullif(s.pages_total, -1) AS pages_total,
       CASE WHEN s.unconnected THEN 'config' ELSE s.error_class END AS error_class,
       coalesce(s.last_progress_at, s.finished_at, s.started_at) AS last_activity_at,
       s.last_success_at,
       coalesce(s.unconfirmed, 0) AS unconfirmed,
       CASE
           WHEN s.status = 'not_armed' THEN coalesce(sluice._arm_file_hint(), 'SELECT sluice.arm();')
           WHEN s.unconnected THEN pg_catalog.format(
               'SELECT sluice.alter_job(%1$L, connection => ''...''); SELECT sluice.resume_job(%1$L);', s.name)
           WHEN s.status = 'paused' AND s.paused_at IS NULL THEN pg_catalog.format(
               'SELECT sluice.resume_connection(%L); does not wait.', s.current_server)
           WHEN s.status IN ('disabled', 'paused') THEN pg_catalog.format('SELECT sluice.resume_job(%L);', s.name)
           WHEN s.status = 'held' THEN pg_catalog.format('CALL sluice.approve(%1$s); or SELECT sluice.discard(%1$s);', s.run_id)
           WHEN s.status IN ('running', 'publishing', 'scheduled', 'waiting_for_worker') THEN NULL
           WHEN s.status = 'waiting_for_rate' THEN 'SELECT * FROM sluice.sync_rate_limits;'
           WHEN s.awaits_consent THEN coalesce(s.consent_hint, s.error_hint)
           WHEN s.status = 'waiting_for_retry' THEN pg_catalog.format('SELECT sluice.retry_now(%L); does not wait.', s.name)
           WHEN s.error_hint IS NULL AND s.open_rejects > 0 THEN pg_catalog.format(
               'SELECT * FROM sluice.sync_rejects WHERE data_type = %1$L; when they are mended: CALL sluice.replay_rejects(%1$L);', s.name)
           ELSE s.error_hint
       END AS hint,
       CASE
           WHEN s.hold_reason IS NOT NULL THEN s.hold_reason
           WHEN s.status = 'waiting_for_worker' THEN 'waits until a worker is free'
           ELSE s.step_reason
       END AS reason
FROM standing AS s;

-- A job without its connection would fail at each of its times; it rests until it is given another one.
CREATE FUNCTION sluice._pause_without_connection() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE sluice._job AS j
    SET paused_at = coalesce(j.paused_at, now()), updated_at = now(),
        server_name = d.object_name, pause_reason = format('connection "%s" was dropped', d.object_name)
    FROM pg_event_trigger_dropped_objects() AS d
    WHERE d.classid = 'pg_foreign_server'::regclass AND d.objid = j.server_oid
      -- The oids of a restored job mean nothing until it is armed.
      AND j.id IN (SELECT v.id FROM sluice._visible_job AS v WHERE v.stamped);
    -- What was said of the connection goes with it.
    DELETE FROM sluice._connection_pause AS z USING pg_event_trigger_dropped_objects() AS d
    WHERE d.classid = 'pg_foreign_server'::regclass AND d.objid = z.server_oid;
    DELETE FROM sluice._error_rule AS r USING pg_event_trigger_dropped_objects() AS d
    WHERE d.classid = 'pg_foreign_server'::regclass AND d.objid = r.server_oid AND d.object_name = r.server_name;
END
$$;
CREATE EVENT TRIGGER sluice_connection_dropped ON sql_drop WHEN TAG IN ('DROP SERVER', 'DROP FOREIGN DATA WRAPPER', 'DROP OWNED')
EXECUTE FUNCTION sluice._pause_without_connection();

-- Health is computed from the age of the data and from the ledger, not only from how the last run ended.
CREATE VIEW sluice.sync_connection_health WITH (security_barrier) AS
WITH judged AS (
    SELECT j.name, j.enabled AND NOT (j.armed AND j.current_server IS NULL) AS enabled, j.armed, j.paused_at, j.pause_reason,
           CASE WHEN j.armed AND j.current_server IS NULL THEN pg_catalog.format('connection "%s" was dropped', j.server_name)
                ELSE j.disabled_reason END AS disabled_reason, j.run_every, t.read_records, t.consecutive_failures,
           t.last_success_at, t.last_failure_at, t.updated_at, q.retry_status, r.status, r.answer, r.finished_at, r.error_class,
           sluice._told(r.error_message, r.sqlstate, r.error_class, j.own) AS error_message, r.held_reason,
           coalesce(o.open, 0) AS rejects, coalesce(o.without_key, 0) AS rejects_without_key,
           t.last_success_at IS NOT NULL
               AND t.last_success_at >= pg_catalog.now() - 3 * coalesce(j.run_every, interval '100 years') AS fresh,
           -- Since when nothing came although runs succeed, where that is longer than ever before: at least a day and ten runs.
           CASE WHEN j.run_every IS NOT NULL AND m.succeeded >= 10
                     AND coalesce(m.records_at, m.first_success_at)
                         < pg_catalog.now() - greatest(interval '1 day', 10 * j.run_every, 3 * m.longest_quiet)
                THEN coalesce(m.records_at, m.first_success_at) END AS quiet_since, m.records_at
    FROM sluice._visible_job AS j
    JOIN sluice._job_state AS t ON t.job_id = j.id
    LEFT JOIN sluice._total AS m ON m.job_id = j.id
    LEFT JOIN sluice._open_rejects AS o ON o.job_id = j.id
    LEFT JOIN LATERAL (
        SELECT y.status AS retry_status FROM sluice._retry AS y
        WHERE y.job_id = j.id AND y.operation = 'sync' ORDER BY y.id DESC LIMIT 1
    ) AS q ON true
    LEFT JOIN LATERAL (
        SELECT x.* FROM sluice._run AS x
        WHERE x.job_id = j.id AND x.task = 'sync' AND x.source <> 'ingest'
          AND x.status IN ('succeeded', 'held', 'failed', 'retryable', 'rolled_back')
        ORDER BY x.id DESC LIMIT 1
    ) AS r ON true
), spoken AS (
    SELECT d.*,
           CASE
               WHEN NOT d.enabled THEN 'unhealthy'
               WHEN d.status IS NULL THEN 'unknown'
               -- With an error it is an empty answer; without, a success that rollback_to has undone.
               WHEN d.status = 'rolled_back' AND d.error_class IS NOT NULL THEN 'unhealthy'
               WHEN d.status = 'failed' THEN 'unhealthy'
               WHEN d.status = 'retryable' AND d.last_success_at IS NULL THEN 'unhealthy'
               WHEN d.status = 'retryable' AND d.retry_status = 'dead' THEN 'unhealthy'
               -- A job that does not use the queue.
               WHEN d.status = 'retryable' AND d.consecutive_failures >= 3 AND d.retry_status IS DISTINCT FROM 'pending'
                    AND d.retry_status IS DISTINCT FROM 'processing' THEN 'unhealthy'
               WHEN d.status = 'held' THEN 'degraded'
               WHEN NOT d.fresh THEN 'degraded'
               WHEN d.rejects > 0 THEN 'degraded'
               WHEN d.quiet_since IS NOT NULL THEN 'degraded'
               ELSE 'healthy'
           END AS health
    FROM judged AS d
)
SELECT s.name AS data_type,
       s.health AS status,
       s.finished_at AS last_check_time,
       coalesce(s.read_records, 0) AS item_count,
       CASE WHEN s.health = 'healthy' THEN NULL
            WHEN NOT s.enabled THEN coalesce(s.disabled_reason, s.error_message)
            ELSE coalesce(s.held_reason, s.error_message) END AS error_message,
       s.consecutive_failures,
       s.last_success_at AS last_success_time,
       s.last_failure_at AS last_failure_time,
       s.updated_at,
       CASE
           WHEN NOT s.enabled THEN coalesce(s.disabled_reason, 'the job is disabled')
           WHEN s.health = 'unknown' THEN 'no run has ended yet'
           WHEN s.status = 'rolled_back' AND s.error_class IS NOT NULL THEN pg_catalog.format('an answer was kept back (%s); the last good data stays', coalesce(s.answer, s.error_class))
           WHEN s.status = 'held' THEN 'a run is held: ' || coalesce(s.held_reason, 'see sync_held')
           WHEN s.health = 'unhealthy' AND s.status = 'retryable' AND s.retry_status = 'dead' THEN pg_catalog.format(
               'its retries are used up (%s)', s.error_class)
           WHEN s.health = 'unhealthy' THEN pg_catalog.format('the last run failed (%s)', s.error_class)
           WHEN NOT s.fresh AND s.health = 'degraded' THEN 'nothing has arrived for more than three intervals' || CASE
               WHEN NOT s.armed THEN ': the job is not armed'
               WHEN s.paused_at IS NOT NULL THEN ': the job is paused' || coalesce(' (' || s.pause_reason || ')', '')
               WHEN s.status = 'retryable' THEN pg_catalog.format(': the last run failed (%s)', s.error_class)
               ELSE '' END
           WHEN s.health = 'degraded' AND s.rejects > 0 THEN pg_catalog.format('%s of the records could not become rows: see sync_rejects%s', s.rejects,
               CASE WHEN s.rejects_without_key > 0
                    THEN pg_catalog.format('; %s without a readable key, so that no rows are removed', s.rejects_without_key)
                    ELSE '' END)
           WHEN s.health = 'degraded' AND s.records_at IS NULL THEN pg_catalog.format(
               'runs succeed and have never brought a record, since %s', pg_catalog.date_trunc('second', s.quiet_since))
           WHEN s.health = 'degraded' THEN pg_catalog.format(
               'runs succeed and have brought no record since %s, longer than ever before', pg_catalog.date_trunc('second', s.quiet_since))
           WHEN s.status = 'retryable' THEN pg_catalog.format('the last run failed (%s) and the data is fresh', s.error_class)
           WHEN s.status = 'rolled_back' THEN 'the last run succeeded, and was rolled back'
           ELSE 'the last run succeeded'
       END AS reason,
       CASE
           WHEN NOT s.armed THEN 'you: arm()'
           WHEN NOT s.enabled OR s.paused_at IS NOT NULL THEN 'you: resume_job()'
           WHEN s.health = 'unknown' THEN 'wait'
           WHEN s.health = 'healthy' AND s.status = 'retryable' THEN 'wait'
           WHEN s.health = 'healthy' THEN 'nobody'
           WHEN s.status = 'held' THEN 'you: approve or discard'
           WHEN s.retry_status IN ('pending', 'processing') THEN 'wait'
           WHEN s.status IN ('retryable', 'rolled_back') AND s.error_class IN ('network', 'timeout', 'server', 'rate_limit', 'empty') THEN 'remote'
           WHEN s.status IN ('failed', 'retryable', 'rolled_back') AND s.error_class IS NOT NULL THEN 'you: see sync_status.hint'
           WHEN NOT s.fresh THEN 'you: see sync_status'
           WHEN s.rejects > 0 THEN 'you: replay_rejects()'
           ELSE 'you: look at the remote'
       END AS action,
       'job' AS source
FROM spoken AS s
UNION ALL
SELECT h.data_type, h.status, h.last_check_at, h.item_count, h.error_message, h.consecutive_failures, h.last_success_at,
       h.last_failure_at, h.last_check_at, 'reported by ' || h.reported_by,
       CASE WHEN h.status = 'healthy' THEN 'nobody' ELSE 'you: see error_message' END, 'reported'
FROM sluice._reported_health AS h
WHERE (pg_catalog.pg_has_role('pg_monitor', 'USAGE')
       OR pg_catalog.has_function_privilege('sluice._monitor_level()', 'EXECUTE')
       OR pg_catalog.has_function_privilege('sluice._operator_level()', 'EXECUTE'))
  -- A job of that name that was made since speaks for itself.
  AND NOT EXISTS (SELECT FROM sluice._job AS j WHERE j.name = h.data_type);

CREATE VIEW sluice.sync_retry_queue WITH (security_barrier) AS
SELECT q.id,
       j.name AS data_type,
       q.operation,
       q.status,
       q.priority,
       q.retry_count,
       q.max_retries,
       q.next_retry_at,
       sluice._told(q.last_error_message, q.sqlstate, q.error_class, j.own) AS last_error_message,
       q.error_class,
       q.context,
       q.created_at,
       q.updated_at
FROM sluice._retry AS q
JOIN sluice._visible_job AS j ON j.id = q.job_id
UNION ALL
-- Calls of event rules; one that waits is made after those of its rule and job that were raised before it.
SELECT c.id, j.name, 'webhook', c.status, 'high'::sluice.priority, greatest(c.attempts - 1, 0), 3,
       CASE WHEN c.status = 'pending' THEN greatest(c.next_retry_at, (
           SELECT max(o.next_retry_at) FROM sluice._alert_call AS o
           WHERE o.alert_id = c.alert_id AND o.job_id = c.job_id AND o.id < c.id AND o.status = 'pending')) END,
       sluice._told(c.last_error_message, c.sqlstate, c.error_class, j.own), c.error_class,
       pg_catalog.jsonb_build_object('rule', a.name, 'event', c.event), c.created_at, c.updated_at
FROM sluice._alert_call AS c
JOIN sluice._alert AS a ON a.id = c.alert_id
JOIN sluice._visible_job AS j ON j.id = c.job_id
UNION ALL
-- Tokens whose renewal failed: they belong to a connection, not to a job.
SELECT -g.id,
       s.srvname::text,
       'refresh_token',
       CASE WHEN g.due_at IS NULL THEN 'dead' WHEN g.due_at > pg_catalog.now() THEN 'pending' ELSE 'processing' END,
       'high'::sluice.priority,
       g.failures,
       3,
       g.due_at,
       sluice._told(g.error_message, g.sqlstate, g.error_class, pg_catalog.pg_has_role(s.srvowner, 'USAGE')),
       g.error_class,
       pg_catalog.jsonb_build_object('connection', s.srvname, 'state', g.state),
       g.failed_at,
       g.updated_at
FROM sluice._oauth AS g
JOIN pg_catalog.pg_foreign_server AS s ON s.oid = g.server_oid
WHERE g.failures > 0 AND g.armed_system || '/' || g.armed_database = sluice._here()
  AND (pg_catalog.pg_has_role(s.srvowner, 'USAGE')
       OR pg_catalog.pg_has_role('pg_monitor', 'USAGE')
       OR pg_catalog.has_function_privilege('sluice._monitor_level()', 'EXECUTE')
       OR pg_catalog.has_function_privilege('sluice._operator_level()', 'EXECUTE'));

CREATE FUNCTION sluice.get_retry_queue(status text DEFAULT NULL) RETURNS SETOF sluice.sync_retry_queue
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF status NOT IN ('pending', 'processing', 'completed', 'dead') THEN
        RAISE EXCEPTION 'unknown status "%"', status USING
            ERRCODE = 'invalid_parameter_value',
            DETAIL = 'A retry is pending, processing, completed or dead.',
            HINT = 'For example: SELECT * FROM sluice.get_retry_queue(''pending'');';
    END IF;
    RETURN QUERY
    SELECT q.* FROM sluice.sync_retry_queue AS q
    WHERE get_retry_queue.status IS NULL OR q.status = get_retry_queue.status
    ORDER BY q.priority DESC, q.created_at;
END
$$;

CREATE FUNCTION sluice.get_connection_health(data_type text DEFAULT NULL) RETURNS SETOF sluice.sync_connection_health
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT h.* FROM sluice.sync_connection_health AS h
    WHERE get_connection_health.data_type IS NULL OR h.data_type = get_connection_health.data_type
    ORDER BY h.data_type;
    IF NOT FOUND AND data_type IS NOT NULL THEN
        RAISE EXCEPTION 'job "%" does not exist', data_type USING
            ERRCODE = 'undefined_object',
            HINT = 'SELECT data_type FROM sluice.sync_connection_health shows those that you may see.';
    END IF;
END
$$;

CREATE VIEW sluice.sync_connections WITH (security_barrier) AS
SELECT s.srvname::text AS name,
       pg_catalog.pg_get_userbyid(s.srvowner)::text AS owner,
       sluice._origin(s.srvoptions) AS origin,
       coalesce(sluice._option(s.srvoptions, 'auth'), 'none') AS auth,
       CASE
           WHEN z.server_oid IS NOT NULL THEN 'paused'
           WHEN g.sqlstate IN ('SY008', 'F0000', 'XX001')
             OR g.sqlstate IS NULL AND (last.sqlstate IN ('SY008', 'F0000') OR last.sqlstate = 'XX001' AND last.error_class = 'config') THEN 'locked'
           WHEN g.state IS NOT NULL AND g.state <> 'connected' OR last.error_class = 'auth' THEN 'reauth_required'
           WHEN coalesce(live.breaker, kept.breaker, 'closed') <> 'closed' THEN 'breaker_open'
           WHEN g.state = 'connected' OR last.answered THEN 'connected'
       END AS state,
       CASE WHEN g.state = 'connected' THEN g.expires_at END AS token_expires_at,
       ok.at AS last_ok_at,
       g.scope,
       sluice._told(g.error_message, g.sqlstate, g.error_class, u.own) AS error_message,
       sluice._detailed(g.error_detail, g.sqlstate, u.own) AS error_detail,
       g.error_hint AS hint,
       z.reason AS pause_reason,
       z.until AS paused_until
FROM pg_catalog.pg_foreign_server AS s
JOIN pg_catalog.pg_foreign_data_wrapper AS w ON w.oid = s.srvfdw AND w.fdwname = 'pg_sluice'
LEFT JOIN LATERAL (
    SELECT max(t.last_success_at) AS at FROM sluice._job AS j JOIN sluice._job_state AS t ON t.job_id = j.id
    WHERE j.server_oid = s.oid
) AS ok ON true
CROSS JOIN LATERAL (SELECT sluice._budget_seen(s.oid) AS budget) AS b
LEFT JOIN sluice._rate AS kept ON kept.budget = b.budget
LEFT JOIN LATERAL sluice._rate_limit(b.budget) AS live ON true
LEFT JOIN sluice._connection_pause AS z ON z.server_oid = s.oid
-- Where tokens are got: what became of them last.
LEFT JOIN sluice._oauth AS g ON g.server_oid = s.oid AND g.armed_system || '/' || g.armed_database = sluice._here()
    AND pg_catalog.left(sluice._option(s.srvoptions, 'auth'), 7) = 'oauth2_'
CROSS JOIN LATERAL (SELECT pg_catalog.pg_has_role(s.srvowner, 'USAGE') AS own) AS u
-- What the last run that asked the remote says of the connection.
LEFT JOIN LATERAL (
    SELECT r.error_class, r.sqlstate, coalesce(r.error_class, '') NOT IN ('network', 'timeout', 'server', 'config') AS answered
    FROM sluice._run AS r JOIN sluice._job AS j ON j.id = r.job_id
    WHERE j.server_oid = s.oid AND r.finished_at IS NOT NULL AND r.task = 'sync' AND r.source <> 'ingest'
      AND (r.pages > 0 OR r.error_class NOT IN ('database', 'resource', 'internal', 'cancelled'))
      -- What was before the connection was connected again says nothing of it any more.
      AND (g.obtained_at IS NULL OR r.finished_at > g.obtained_at)
    ORDER BY r.id DESC LIMIT 1
) AS last ON true
WHERE pg_catalog.has_server_privilege(s.oid, 'USAGE')
   OR pg_catalog.pg_has_role('pg_monitor', 'USAGE')
   OR pg_catalog.has_function_privilege('sluice._monitor_level()', 'EXECUTE')
   OR pg_catalog.has_function_privilege('sluice._operator_level()', 'EXECUTE');

CREATE VIEW sluice.sync_metadata WITH (security_barrier) AS
SELECT j.name AS data_type,
       r.finished_at AS last_sync_time,
       t.last_success_at AS last_success_time,
       t.published_rows AS item_count,
       t.cursor,
       r.id AS last_run_id,
       r.finished_at - r.started_at AS duration,
       pg_catalog.encode(t.published_version, 'hex') AS schema_hash,
       t.updated_at,
       (SELECT coalesce(sum(octet_length(b.body) + octet_length(b.keys)), 0)::bigint
        FROM sluice._page_body AS b WHERE b.job_id = j.id) AS page_store_bytes,
       (SELECT coalesce(sum(octet_length(u.payload)), 0)::bigint FROM sluice._undo AS u WHERE u.job_id = j.id) AS undo_bytes,
       (SELECT coalesce(sum(s.bytes), 0)::bigint FROM sluice._snapshot AS s WHERE s.job_id = j.id) AS snapshot_bytes
FROM sluice._visible_job AS j
JOIN sluice._job_state AS t ON t.job_id = j.id
LEFT JOIN LATERAL (
    SELECT x.* FROM sluice._run AS x
    WHERE x.job_id = j.id AND x.finished_at IS NOT NULL AND x.source <> 'ingest' ORDER BY x.id DESC LIMIT 1
) AS r ON true;

CREATE VIEW sluice.sync_snapshots WITH (security_barrier) AS
SELECT s.id,
       j.name AS data_type,
       s.label,
       (s.position ->> 'published_run')::bigint AS run_id,
       s.rows,
       s.bytes,
       s.created_at,
       s.created_by,
       o.obstacle IS NULL AS restorable,
       o.obstacle,
       s.columns,
       s.mapped
FROM sluice._snapshot AS s
JOIN sluice._visible_job AS j ON j.id = s.job_id
CROSS JOIN LATERAL (SELECT sluice._snapshot_obstacle(j.target_oid, s.columns, s.types, s.key) AS obstacle) AS o;

CREATE VIEW sluice.sync_undo WITH (security_barrier) AS
SELECT j.name AS data_type,
       u.run_id,
       r.status,
       r.finished_at,
       sum(u.rows)::bigint AS rows,
       sum(coalesce(octet_length(u.payload), 0))::bigint AS bytes,
       bool_or(u.kind = 'first_load') AS first_load
FROM sluice._undo AS u
JOIN sluice._run AS r ON r.id = u.run_id
JOIN sluice._visible_job AS j ON j.id = r.job_id
GROUP BY j.name, u.run_id, r.status, r.finished_at;

CREATE VIEW sluice.sync_secrets WITH (security_barrier) AS
SELECT s.name,
       CASE WHEN s.armed_in = sluice._here() THEN pg_catalog.pg_get_userbyid(s.owner_oid)::text ELSE s.owner_name END AS owner,
       s.origin,
       s.source,
       s.version,
       s.created_at,
       s.updated_at
FROM sluice._secret AS s
WHERE pg_catalog.pg_has_role(sluice._role_now(s.owner_oid, s.owner_name, s.armed_in), 'USAGE')
   OR pg_catalog.pg_has_role('pg_monitor', 'USAGE')
   OR pg_catalog.has_function_privilege('sluice._admin_level()', 'EXECUTE');

-- One jsonb for programs: the scheduler in numbers, and the jobs as sync_status shows them.
CREATE FUNCTION sluice.get_sync_status(job text DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF job IS NOT NULL AND NOT EXISTS (SELECT FROM sluice.sync_jobs AS j WHERE j.name = job) THEN
        RAISE EXCEPTION 'job "%" does not exist', job USING
            ERRCODE = 'undefined_object',
            HINT = 'SELECT name FROM sluice.sync_jobs shows the jobs that you may see.';
    END IF;
    RETURN (SELECT jsonb_build_object(
    'scheduler', jsonb_build_object(
        'is_running', sluice._launcher_is_running(),
        'total_jobs', count(*),
        'active', count(*) FILTER (WHERE s.status IN ('running', 'publishing')),
        'pending', count(*) FILTER (WHERE s.status IN ('scheduled', 'waiting_for_worker', 'waiting_for_retry', 'waiting_for_rate')),
        'failed', count(*) FILTER (WHERE s.error_class IS NOT NULL)),
    'jobs', coalesce(jsonb_agg(to_jsonb(s) ORDER BY s.data_type), '[]'::jsonb))
FROM sluice.sync_status AS s
WHERE get_sync_status.job IS NULL OR s.data_type = get_sync_status.job);
END
$$;
