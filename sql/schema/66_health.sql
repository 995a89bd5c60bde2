-- Health and figures for dashboards, and the audit log as people see it.

CREATE VIEW sluice.sync_audit_log WITH (security_barrier) AS
SELECT a.id,
       a.happened_at,
       a.session_role,
       a.acting_role,
       a.client_address,
       a.application_name,
       a.action,
       a.object_type,
       a.object,
       a.run_id,
       a.before,
       a.after
FROM sluice._audit AS a
WHERE pg_catalog.pg_has_role('pg_monitor', 'USAGE')
   OR pg_catalog.has_function_privilege('sluice._monitor_level()', 'EXECUTE')
   OR pg_catalog.has_function_privilege('sluice._operator_level()', 'EXECUTE')
   OR a.acting_role = current_user
   OR a.object_type = 'job' AND EXISTS (SELECT FROM sluice._visible_job AS j WHERE j.id = a.job_id);

-- One row a sample: a metric's name, its type and help as exporters print them, its labels, its value.
CREATE VIEW sluice.sync_metrics WITH (security_barrier) AS
WITH job AS MATERIALIZED (
    SELECT j.id, j.name AS data_type, j.run_every, h.status, h.item_count, h.consecutive_failures, h.last_success_time,
           t.next_run_at, t.published_rows, m.*
    FROM sluice._visible_job AS j
    JOIN sluice._job_state AS t ON t.job_id = j.id
    JOIN sluice.sync_connection_health AS h ON h.data_type = j.name AND h.source = 'job'
    LEFT JOIN sluice._total AS m ON m.job_id = j.id
), last AS MATERIALIZED (
    SELECT j.id, r.* FROM job AS j CROSS JOIN LATERAL (
        SELECT date_part('epoch', x.finished_at - x.started_at) AS duration, x.records, x.bytes FROM sluice._run AS x
        WHERE x.job_id = j.id AND x.task = 'sync' AND x.source <> 'ingest' AND x.finished_at IS NOT NULL AND x.started_at IS NOT NULL
        ORDER BY x.id DESC LIMIT 1) AS r
)
SELECT s.metric, s.type, s.help, s.data_type, s.label, s.value::double precision AS value
FROM (
    SELECT v.metric, v.type, v.help, j.data_type, v.label, v.value
    FROM job AS j CROSS JOIN LATERAL (VALUES
        ('sluice_health', 'gauge', '1 for the present health of a data type.', j.status, 1::double precision),
        ('sluice_items', 'gauge', 'Records of the last complete read.', NULL, j.item_count),
        ('sluice_rows', 'gauge', 'Rows that the target holds of the data type.', NULL, j.published_rows),
        ('sluice_consecutive_failures', 'gauge', 'Failed runs since the last success.', NULL, j.consecutive_failures),
        ('sluice_last_success_timestamp_seconds', 'gauge', 'When a run last succeeded.', NULL, date_part('epoch', j.last_success_time)),
        ('sluice_next_run_timestamp_seconds', 'gauge', 'When the next run is planned.', NULL, date_part('epoch', j.next_run_at)),
        ('sluice_interval_seconds', 'gauge', 'The time between two runs that the schedule asks for.', NULL, date_part('epoch', j.run_every)),
        ('sluice_runs_total', 'counter', 'Runs that ended, by how they ended.', 'succeeded', coalesce(j.succeeded, 0)),
        ('sluice_runs_total', 'counter', 'Runs that ended, by how they ended.', 'failed', coalesce(j.failed, 0)),
        ('sluice_runs_total', 'counter', 'Runs that ended, by how they ended.', 'held', coalesce(j.held, 0)),
        ('sluice_runs_total', 'counter', 'Runs that ended, by how they ended.', 'interrupted', coalesce(j.interrupted, 0)),
        ('sluice_runs_total', 'counter', 'Runs that ended, by how they ended.', 'stopped', coalesce(j.stopped, 0)),
        ('sluice_run_seconds_total', 'counter', 'Time that runs took.', NULL, coalesce(j.seconds, 0)),
        ('sluice_pages_total', 'counter', 'Pages that were read.', NULL, coalesce(j.pages, 0)),
        ('sluice_records_total', 'counter', 'Records that were read.', NULL, coalesce(j.records, 0)),
        ('sluice_bytes_total', 'counter', 'Bytes that were read, decoded.', NULL, coalesce(j.bytes, 0)),
        ('sluice_rows_total', 'counter', 'Rows by what was done with them.', 'inserted', coalesce(j.inserted, 0)),
        ('sluice_rows_total', 'counter', 'Rows by what was done with them.', 'updated', coalesce(j.updated, 0)),
        ('sluice_rows_total', 'counter', 'Rows by what was done with them.', 'deleted', coalesce(j.deleted, 0)),
        ('sluice_rows_total', 'counter', 'Rows by what was done with them.', 'unchanged', coalesce(j.unchanged, 0)),
        ('sluice_rows_total', 'counter', 'Rows by what was done with them.', 'rejected', coalesce(j.rejected, 0)))
        AS v (metric, type, help, label, value)
    UNION ALL
    SELECT 'sluice_last_run_duration_seconds', 'gauge', 'How long the last run took.', j.data_type, NULL, l.duration
    FROM last AS l JOIN job AS j ON j.id = l.id
    UNION ALL
    SELECT 'sluice_retry_entries', 'gauge', 'Entries of the retry queue, by status.', j.name, q.status, count(*)
    FROM sluice._retry AS q JOIN sluice._visible_job AS j ON j.id = q.job_id GROUP BY j.name, q.status
    UNION ALL
    SELECT 'sluice_held_runs', 'gauge', 'Runs that wait for approve or discard.', h.data_type, NULL, count(*)
    FROM sluice.sync_held AS h GROUP BY h.data_type
    UNION ALL
    SELECT 'sluice_open_rejects', 'gauge', 'Records that could not become rows and wait to be mended.', j.name, NULL, o.open
    FROM sluice._open_rejects AS o JOIN sluice._visible_job AS j ON j.id = o.job_id
    UNION ALL
    SELECT 'sluice_outbox_changes', 'gauge', 'Local changes that wait to be sent.', NULL, NULL, 0
    UNION ALL
    SELECT 'sluice_launcher_up', 'gauge', '1 where the launcher is running.', NULL, NULL, sluice._launcher_is_running()::integer
    UNION ALL
    SELECT 'sluice_workers', 'gauge', 'Workers of this database that are running.', NULL, NULL, count(*) FROM sluice._workers()
    UNION ALL
    SELECT 'sluice_workers_limit', 'gauge', 'The setting sluice.max_workers.', NULL, NULL, sluice._worker_limit()
) AS s
WHERE s.value IS NOT NULL;

-- Figures of the jobs that the caller sees, one row. A run counts for the success rate that asked the remote and came to
-- an end of its own: one that was stopped, interrupted or held says nothing of it. A success that was rolled back by a
-- person was a success; an empty answer that was kept back is none.
CREATE VIEW sluice.sync_figures WITH (security_barrier) AS
SELECT e.runs, e.percent, e.last_end_at, e.average_seconds, o.open_rejects, a.jobs, a.armed_jobs
FROM (SELECT count(*) FILTER (WHERE r.good IS NOT NULL) AS runs,
             round(100.0 * count(*) FILTER (WHERE r.good) / nullif(count(*) FILTER (WHERE r.good IS NOT NULL), 0), 2) AS percent,
             max(r.finished_at) AS last_end_at,
             round(avg(date_part('epoch', r.finished_at - r.started_at)) FILTER (WHERE r.good)::numeric, 3) AS average_seconds
      FROM (SELECT x.started_at, x.finished_at,
                   CASE WHEN x.status = 'succeeded' OR x.status = 'rolled_back' AND x.error_class IS NULL THEN true
                        WHEN x.status IN ('failed', 'retryable', 'rolled_back') THEN false END AS good
            FROM sluice._run AS x JOIN sluice._visible_job AS j ON j.id = x.job_id
            WHERE x.task = 'sync' AND x.source <> 'ingest' AND x.finished_at IS NOT NULL) AS r) AS e,
     (SELECT coalesce(sum(x.open), 0) AS open_rejects
      FROM sluice._open_rejects AS x JOIN sluice._visible_job AS j ON j.id = x.job_id) AS o,
     (SELECT count(*) AS jobs, count(*) FILTER (WHERE j.armed) AS armed_jobs FROM sluice._visible_job AS j) AS a;

CREATE FUNCTION sluice.get_sync_metrics() RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
SELECT jsonb_build_object(
    'queue_length', (SELECT count(*) FROM sluice.sync_retry_queue AS q WHERE q.status IN ('pending', 'processing')),
    -- The local changes that wait to be sent.
    'pending_creates', 0, 'pending_updates', 0, 'pending_deletes', 0,
    'failed_items', (SELECT count(*) FROM sluice.sync_retry_queue AS q WHERE q.status = 'dead') + f.open_rejects,
    'last_sync_time', f.last_end_at,
    'next_sync_time', (SELECT min(s.next_run_at) FROM sluice.sync_status AS s),
    'sync_success_rate', f.percent,
    'average_sync_time', f.average_seconds,
    'data_in_sync', (SELECT count(*) > 0 AND bool_and(h.status = 'healthy') FROM sluice.sync_connection_health AS h WHERE h.source = 'job'))
FROM sluice.sync_figures AS f
$$;

CREATE FUNCTION sluice.get_sync_system_health() RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
WITH health AS MATERIALIZED (
    SELECT * FROM sluice.sync_connection_health
), queue AS MATERIALIZED (
    SELECT count(*) FILTER (WHERE q.status = 'pending') AS pending, count(*) FILTER (WHERE q.status = 'processing') AS processing,
           count(*) FILTER (WHERE q.status = 'dead') AS dead,
           count(*) FILTER (WHERE q.status = 'pending' AND q.next_retry_at < now() - interval '5 minutes') AS overdue,
           min(q.created_at) FILTER (WHERE q.status IN ('pending', 'processing')) AS oldest_at
    FROM sluice.sync_retry_queue AS q
), figures AS MATERIALIZED (
    SELECT * FROM sluice.sync_figures
), counted AS MATERIALIZED (
    SELECT count(*) FILTER (WHERE h.status = 'healthy') AS healthy, count(*) FILTER (WHERE h.status = 'degraded') AS degraded,
           count(*) FILTER (WHERE h.status = 'unhealthy') AS unhealthy, count(*) FILTER (WHERE h.status = 'unknown') AS unknown,
           count(*) AS all_of_them
    FROM health AS h
), checks AS MATERIALIZED (
    SELECT c.* FROM (VALUES
        (1, 'launcher', CASE WHEN sluice._launcher_is_running() THEN 'ok' ELSE 'critical' END,
         CASE WHEN sluice._launcher_is_running() THEN 'running' ELSE 'not running: nothing is started' END,
         'SELECT * FROM sluice.self_test();'),
        (2, 'enabled', CASE WHEN coalesce(current_setting('sluice.enabled', true), 'on') = 'on' THEN 'ok' ELSE 'warning' END,
         'sluice.enabled is ' || coalesce(current_setting('sluice.enabled', true), 'on'),
         'ALTER SYSTEM SET sluice.enabled = on; SELECT pg_reload_conf();'),
        (3, 'armed', CASE WHEN (SELECT f.armed_jobs < f.jobs FROM figures AS f) THEN 'warning' ELSE 'ok' END,
         (SELECT format('%s of %s jobs may run here', f.armed_jobs, f.jobs) FROM figures AS f),
         'SELECT sluice.arm();'),
        (4, 'data', CASE WHEN (SELECT n.unhealthy > 0 FROM counted AS n) THEN 'critical'
                         WHEN (SELECT n.degraded > 0 FROM counted AS n) THEN 'warning' ELSE 'ok' END,
         (SELECT format('%s healthy, %s degraded, %s unhealthy, %s unknown', n.healthy, n.degraded, n.unhealthy, n.unknown) FROM counted AS n),
         'SELECT data_type, status, reason, action FROM sluice.sync_connection_health WHERE status <> ''healthy'';'),
        (5, 'queue', CASE WHEN (SELECT q.overdue > 0 OR q.dead > 0 FROM queue AS q) THEN 'warning' ELSE 'ok' END,
         (SELECT format('%s waiting, %s of them late, %s given up', q.pending, q.overdue, q.dead) FROM queue AS q),
         'SELECT * FROM sluice.get_retry_queue(); SELECT sluice.redrive(data_type); SELECT * FROM sluice.repair_sync();'),
        (6, 'success rate', CASE WHEN (SELECT coalesce(f.percent, 100) >= 95 FROM figures AS f) THEN 'ok' ELSE 'warning' END,
         (SELECT CASE WHEN f.runs = 0 THEN 'no run has ended yet' ELSE format('%s %% of %s runs, 95 %% are expected', f.percent, f.runs) END FROM figures AS f),
         'SELECT data_type, status, error_class, error_message FROM sluice.sync_runs WHERE error_class IS NOT NULL ORDER BY id DESC LIMIT 20;'))
        AS c (place, name, status, detail, hint)
)
SELECT jsonb_build_object(
    'overall', CASE WHEN EXISTS (SELECT FROM checks AS c WHERE c.status = 'critical') THEN 'unhealthy'
                    WHEN EXISTS (SELECT FROM checks AS c WHERE c.status = 'warning') THEN 'degraded'
                    WHEN (SELECT n.all_of_them = n.unknown FROM counted AS n) THEN 'unknown' ELSE 'healthy' END,
    'checks', (SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('name', c.name, 'status', c.status, 'detail', c.detail,
                   'hint', CASE WHEN c.status <> 'ok' THEN c.hint END)) ORDER BY c.place) FROM checks AS c),
    'workers', jsonb_build_object('launcher', sluice._launcher_is_running(), 'limit', sluice._worker_limit(),
        'running', (SELECT count(*) FROM sluice.sync_progress),
        'waiting', (SELECT count(*) FROM sluice.sync_status AS s WHERE s.status = 'waiting_for_worker')),
    'queue', (SELECT to_jsonb(q) FROM queue AS q),
    'freshness', (SELECT jsonb_build_object('healthy', n.healthy, 'degraded', n.degraded, 'unhealthy', n.unhealthy, 'unknown', n.unknown,
        'stalest', (SELECT jsonb_build_object('data_type', h.data_type, 'last_success_time', h.last_success_time) FROM health AS h
                    WHERE h.status <> 'unknown' ORDER BY h.last_success_time NULLS FIRST, h.data_type LIMIT 1),
        'oldest_failure', (SELECT jsonb_build_object('data_type', h.data_type, 'last_failure_time', h.last_failure_time, 'reason', h.reason)
                           FROM health AS h WHERE h.consecutive_failures > 0 ORDER BY h.last_failure_time, h.data_type LIMIT 1),
        'success_rate', (SELECT f.percent FROM figures AS f), 'expected_success_rate', 95) FROM counted AS n))
$$;

CREATE FUNCTION sluice.update_connection_health_status(
    p_data_type text, p_status text, p_item_count integer DEFAULT NULL, p_error_message text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- A report with an error counts as a failure whatever its status says.
    failed boolean := p_status IN ('degraded', 'unhealthy') OR p_error_message IS NOT NULL;
    acting text := CASE current_setting('role') WHEN 'none' THEN session_user ELSE current_setting('role') END;
BEGIN
    IF p_data_type IS NULL OR p_status IS NULL THEN
        RAISE EXCEPTION 'argument "%" must not be null', CASE WHEN p_data_type IS NULL THEN 'p_data_type' ELSE 'p_status' END USING
            ERRCODE = 'null_value_not_allowed',
            HINT = 'Give a value, or leave the argument out where it has a default.';
    END IF;
    IF p_status NOT IN ('healthy', 'degraded', 'unhealthy', 'unknown') THEN
        RAISE EXCEPTION 'unknown health status "%"', p_status USING
            ERRCODE = 'invalid_parameter_value',
            DETAIL = 'Health is healthy, degraded, unhealthy or unknown.',
            HINT = 'For example: SELECT sluice.update_connection_health_status(''nightly_import'', ''healthy'', 1200);';
    END IF;
    IF p_data_type = '' OR octet_length(p_data_type) > 63 THEN
        RAISE EXCEPTION 'a data type''s name has 1 to 63 bytes' USING
            ERRCODE = 'invalid_name',
            DETAIL = format('It has %s.', octet_length(p_data_type)),
            HINT = 'Choose another name.';
    END IF;
    IF p_item_count < 0 THEN
        RAISE EXCEPTION 'argument "p_item_count" must not be negative' USING
            ERRCODE = 'invalid_parameter_value',
            DETAIL = format('It is %s.', p_item_count),
            HINT = 'Give the number of items that were there, or leave it out.';
    END IF;
    IF EXISTS (SELECT FROM sluice._job AS j WHERE j.name = p_data_type) THEN
        RAISE EXCEPTION '"%" is a job of pg_sluice', p_data_type USING
            ERRCODE = 'duplicate_object',
            DETAIL = 'The health of a job is computed from its runs and the age of its data.',
            HINT = 'Choose another name for what reports here.';
    END IF;
    INSERT INTO sluice._reported_health AS h (data_type, status, item_count, error_message, consecutive_failures, last_check_at,
                                              last_success_at, last_failure_at, reported_by)
    VALUES (p_data_type, p_status, coalesce(p_item_count, 0), p_error_message, failed::integer, clock_timestamp(),
            CASE WHEN p_status = 'healthy' AND NOT failed THEN clock_timestamp() END, CASE WHEN failed THEN clock_timestamp() END, acting)
    ON CONFLICT (data_type) DO UPDATE SET
        status = excluded.status, item_count = coalesce(p_item_count, h.item_count), error_message = excluded.error_message,
        consecutive_failures = CASE WHEN failed THEN h.consecutive_failures + 1 WHEN p_status = 'healthy' THEN 0
                                    ELSE h.consecutive_failures END,
        last_check_at = excluded.last_check_at, last_success_at = coalesce(excluded.last_success_at, h.last_success_at),
        last_failure_at = coalesce(excluded.last_failure_at, h.last_failure_at), reported_by = excluded.reported_by;
END
$$;

CREATE FUNCTION sluice.forget_connection_health_status(p_data_type text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM sluice._reported_health AS h WHERE h.data_type = p_data_type;
    RETURN FOUND;
END
$$;

COMMENT ON VIEW sluice.sync_audit_log IS 'One row a change of a definition or an operation: who logged in (session_role) and as whom it acted (acting_role), from where, what (action on object_type, object), and what it was and is. Of a change only what differs; values of headers, params and bodies are never told, nor those of secrets. Rows are only added; they leave when they are older than sluice.keep_audit.';
COMMENT ON VIEW sluice.sync_metrics IS 'One row a sample, for Prometheus exporters: metric, type (gauge or counter), help, data_type, a second label (status, kind of row), value. Counters are since the job was made, whatever became of its runs'' rows. Labels are data_type and label; none is called job.';
COMMENT ON VIEW sluice.sync_figures IS 'One row over the jobs that the caller sees: how many there are and may run here (armed), the runs that are kept and came to an end of their own, the percentage of successes among them, how long a successful one takes, and the records that wait to be mended.';
COMMENT ON FUNCTION sluice.get_sync_metrics() IS 'One jsonb of the jobs that the caller sees: queue_length (retries that wait or run), pending_creates, pending_updates, pending_deletes (local changes that wait to be sent; 0 as long as nothing is pushed), failed_items (dead retries and open rejects), last_sync_time, next_sync_time, sync_success_rate (percent of the runs that are kept), average_sync_time (seconds, of successful runs), data_in_sync (every job is healthy).';
COMMENT ON FUNCTION sluice.get_sync_system_health() IS 'One jsonb of the jobs that the caller sees: overall (healthy, degraded, unhealthy, unknown), checks (name, status ok, warning or critical, detail, hint), workers, queue, freshness (jobs by health, the stalest one, the oldest failure, the success rate beside the expected 95 percent).';
COMMENT ON FUNCTION sluice.update_connection_health_status(text, text, integer, text) IS 'Reports the health of something that is no job, so that it stands in sync_connection_health beside the jobs. p_status: healthy, degraded, unhealthy or unknown. p_item_count: NULL keeps the former. A report with an error, or of degraded or unhealthy, counts as a failure; healthy without an error ends the count. Errors: 22004 NULL, 22023 unknown status or negative count, 42602 wrong name, 42710 the name is a job''s.';
COMMENT ON FUNCTION sluice.forget_connection_health_status(text) IS 'Forgets what was reported of a data type that is no job; whether there was something.';
