-- What becomes of runs, as others want to know it: events to tell, sums that survive the pruning of runs, the audit log.
-- One trigger on the runs sees every change, whoever makes it, in the transaction that makes it.

-- Events that happened and are not told yet. They are told by NOTIFY in a transaction of its own after the commit.
CREATE TABLE sluice._event (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payload jsonb NOT NULL
) WITH (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);

-- Sums of a job's runs since it was made, one row a job: runs are pruned, counters never go back.
CREATE TABLE sluice._total (
    job_id           bigint PRIMARY KEY REFERENCES sluice._job ON DELETE CASCADE,
    since_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    succeeded        bigint NOT NULL DEFAULT 0,
    failed           bigint NOT NULL DEFAULT 0,
    held             bigint NOT NULL DEFAULT 0,
    interrupted      bigint NOT NULL DEFAULT 0,
    stopped          bigint NOT NULL DEFAULT 0,
    pages            bigint NOT NULL DEFAULT 0,
    records          bigint NOT NULL DEFAULT 0,
    inserted         bigint NOT NULL DEFAULT 0,
    updated          bigint NOT NULL DEFAULT 0,
    deleted          bigint NOT NULL DEFAULT 0,
    unchanged        bigint NOT NULL DEFAULT 0,
    rejected         bigint NOT NULL DEFAULT 0,
    bytes            bigint NOT NULL DEFAULT 0,
    seconds          double precision NOT NULL DEFAULT 0,
    -- When a read brought records, and the longest time between two such reads.
    records_at       timestamptz,
    longest_quiet    interval NOT NULL DEFAULT '0',
    first_success_at timestamptz
) WITH (fillfactor = 50);

CREATE FUNCTION sluice._queue_event(payload jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF coalesce(nullif(current_setting('sluice.notify_events', true), ''), 'on') = 'on' THEN
        INSERT INTO sluice._event AS e (payload)
        VALUES (jsonb_strip_nulls(payload || jsonb_build_object('at', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))));
    END IF;
END
$$;

-- Adds a run that ended to the sums of its job. One that was held and approved has told what it read before.
CREATE FUNCTION sluice._add_to_total(run sluice._run) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
INSERT INTO sluice._total AS t (job_id, succeeded, failed, held, interrupted, stopped, pages, records, inserted, updated,
                                deleted, unchanged, rejected, bytes, seconds, records_at, first_success_at)
SELECT (run).job_id, n.succeeded, n.failed, n.held, n.interrupted, n.stopped, n.pages, n.records,
       CASE WHEN n.again AND (run).direct THEN 0 ELSE (run).inserted END, CASE WHEN n.again AND (run).direct THEN 0 ELSE (run).updated END,
       (run).deleted, CASE WHEN n.again THEN 0 ELSE (run).unchanged END, CASE WHEN n.again THEN 0 ELSE (run).rejected END,
       CASE WHEN n.again THEN 0 ELSE (run).bytes END,
       coalesce(CASE WHEN NOT n.again THEN date_part('epoch', (run).finished_at - (run).started_at) END, 0),
       CASE WHEN n.succeeded = 1 AND (run).records > 0 THEN (run).finished_at END, CASE WHEN n.succeeded = 1 THEN (run).finished_at END
FROM (SELECT (run).approved_by IS NOT NULL AS again,
             ((run).status = 'succeeded')::integer AS succeeded,
             ((run).status IN ('failed', 'retryable', 'rolled_back'))::integer AS failed,
             ((run).status = 'held' AND (run).approved_by IS NULL)::integer AS held,
             ((run).status = 'interrupted')::integer AS interrupted,
             ((run).status = 'stopped')::integer AS stopped,
             CASE WHEN (run).approved_by IS NULL THEN (run).pages ELSE 0 END AS pages,
             CASE WHEN (run).approved_by IS NULL THEN (run).records ELSE 0 END AS records) AS n
ON CONFLICT (job_id) DO UPDATE SET
    succeeded = t.succeeded + excluded.succeeded, failed = t.failed + excluded.failed, held = t.held + excluded.held,
    interrupted = t.interrupted + excluded.interrupted, stopped = t.stopped + excluded.stopped,
    pages = t.pages + excluded.pages, records = t.records + excluded.records, inserted = t.inserted + excluded.inserted,
    updated = t.updated + excluded.updated, deleted = t.deleted + excluded.deleted, unchanged = t.unchanged + excluded.unchanged,
    rejected = t.rejected + excluded.rejected, bytes = t.bytes + excluded.bytes, seconds = t.seconds + excluded.seconds,
    longest_quiet = greatest(t.longest_quiet, excluded.records_at - t.records_at),
    records_at = greatest(t.records_at, excluded.records_at), first_success_at = coalesce(t.first_success_at, excluded.first_success_at)
$$;

CREATE FUNCTION sluice._run_told() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job_name  text := (SELECT j.name FROM sluice._job AS j WHERE j.id = NEW.job_id);
    is_new    boolean := TG_OP = 'INSERT';
    operation text;
BEGIN
    IF job_name IS NULL THEN
        RETURN NULL;
    END IF;
    IF is_new THEN
        operation := CASE NEW.task WHEN 'rollback' THEN 'rollback_to' WHEN 'snapshot' THEN 'create_snapshot'
                     WHEN 'restore' THEN 'restore_snapshot' WHEN 'sync' THEN CASE NEW.source WHEN 'manual' THEN 'start_sync' END
                     ELSE NEW.task END;
        -- The scheduler repeats what was interrupted; a person asked for it once.
        IF EXISTS (SELECT FROM sluice._run AS r WHERE r.job_id = NEW.job_id AND r.id < NEW.id AND r.status = 'interrupted'
                   AND r.task = NEW.task AND r.task <> 'sync'
                   AND NOT EXISTS (SELECT FROM sluice._run AS o WHERE o.job_id = NEW.job_id AND o.id > r.id AND o.id < NEW.id)) THEN
            operation := NULL;
        END IF;
    ELSE
        operation := CASE WHEN NEW.status = 'discarded' AND OLD.status = 'held' THEN 'discard'
                          WHEN OLD.approved_by IS NULL AND NEW.approved_by IS NOT NULL THEN 'approve'
                          WHEN OLD.stopped_by IS NULL AND NEW.stopped_by IS NOT NULL THEN 'stop_sync' END;
    END IF;
    IF operation IS NOT NULL THEN
        PERFORM sluice._note_operation(operation, 'job', job_name, NEW.id, NULL,
            nullif(jsonb_strip_nulls(jsonb_build_object('subject', NEW.subject, 'label', NEW.label)), '{}'), NULL, NEW.job_id);
    END IF;
    -- What is sealed was changed, cut short or moved: somebody has written to our tables.
    IF NEW.sqlstate = 'XX001' AND NEW.error_class IN ('config', 'auth') AND (is_new OR OLD.status <> NEW.status) THEN
        PERFORM sluice._note_operation('damaged_secret', 'job', job_name, NEW.id, job_id => NEW.job_id);
    END IF;
    -- An address that requests must not go to (S-22), wherever the definition or a name server led.
    IF NEW.sqlstate = 'SY007' AND (is_new OR OLD.status <> NEW.status) THEN
        PERFORM sluice._note_operation('refused_address', 'job', job_name, NEW.id, job_id => NEW.job_id);
    END IF;
    IF NEW.status = 'held' AND (is_new OR OLD.status <> 'held') THEN
        PERFORM sluice._note_operation('hold', 'job', job_name, NEW.id, NULL, jsonb_build_object('reason', NEW.held_reason), NULL,
                                       NEW.job_id);
    END IF;
    IF is_new OR OLD.status <> NEW.status THEN
        PERFORM sluice._queue_event(jsonb_build_object('event', 'run', 'data_type', job_name, 'run', NEW.id, 'status', NEW.status,
            'task', NEW.task, 'source', NEW.source, 'error_class', NEW.error_class, 'sqlstate', NEW.sqlstate));
    END IF;
    IF NOT is_new AND OLD.status IN ('scheduled', 'running', 'publishing')
       AND NEW.status NOT IN ('scheduled', 'running', 'publishing') AND NEW.started_at IS NOT NULL AND NEW.task = 'sync' THEN
        PERFORM sluice._add_to_total(NEW);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER _told AFTER INSERT ON sluice._run FOR EACH ROW EXECUTE FUNCTION sluice._run_told();
-- Counters of a run change with every batch: that is no event.
CREATE TRIGGER _told_of_change AFTER UPDATE OF status, approved_by, stopped_by ON sluice._run FOR EACH ROW
WHEN (OLD.status IS DISTINCT FROM NEW.status OR OLD.approved_by IS DISTINCT FROM NEW.approved_by
      OR OLD.stopped_by IS DISTINCT FROM NEW.stopped_by)
EXECUTE FUNCTION sluice._run_told();

CREATE FUNCTION sluice._job_told() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM sluice._queue_event(jsonb_build_object('event', 'job', 'data_type', NEW.name, 'status',
        CASE WHEN NOT NEW.enabled THEN 'disabled' WHEN NEW.paused_at IS NOT NULL THEN 'paused' ELSE 'resumed' END));
    RETURN NULL;
END
$$;
CREATE TRIGGER _told AFTER UPDATE OF enabled, paused_at ON sluice._job FOR EACH ROW
WHEN ((OLD.enabled, OLD.paused_at IS NULL) IS DISTINCT FROM (NEW.enabled, NEW.paused_at IS NULL))
EXECUTE FUNCTION sluice._job_told();

-- A connection was connected, or waits for somebody to connect it again.
CREATE FUNCTION sluice._connection_told() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM sluice._note_operation(NEW.state, 'connection', NEW.server_name, NULL, NULL,
        nullif(jsonb_strip_nulls(jsonb_build_object('error_class', NEW.error_class, 'sqlstate', NEW.sqlstate, 'scope', NEW.scope)), '{}'));
    PERFORM sluice._queue_event(jsonb_build_object('event', 'connection', 'connection', NEW.server_name, 'status', NEW.state,
        'error_class', NEW.error_class, 'sqlstate', NEW.sqlstate));
    RETURN NULL;
END
$$;
CREATE TRIGGER _told AFTER UPDATE OF state ON sluice._oauth FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
EXECUTE FUNCTION sluice._connection_told();

-- Health that others report of what is no job of ours.
CREATE TABLE sluice._reported_health (
    data_type            text PRIMARY KEY CHECK (data_type <> '' AND octet_length(data_type) <= 63),
    status               text NOT NULL CHECK (status IN ('healthy', 'degraded', 'unhealthy', 'unknown')),
    item_count           bigint NOT NULL DEFAULT 0,
    error_message        text,
    consecutive_failures integer NOT NULL DEFAULT 0,
    last_check_at        timestamptz NOT NULL,
    last_success_at      timestamptz,
    last_failure_at      timestamptz,
    reported_by          text NOT NULL
);
SELECT pg_catalog.pg_extension_config_dump('sluice._reported_health', '');
