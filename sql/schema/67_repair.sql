-- Checks what one job's rows say against each other and against the catalogs, and mends what can be mended. Called by
-- repair_sync with every right; who may call it for which job is decided there.

-- One row a finding. result: mended, or needs_you where a person must act. `free`: the caller holds the job's lock, so that
-- no worker changes what is looked at.
CREATE FUNCTION sluice._repair_job(which bigint, free boolean, moment timestamptz)
RETURNS TABLE (checked text, result text, found text, done text, action text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    j     sluice._job;
    t     sluice._job_state;
    armed boolean;
    n     bigint;
    m     bigint;
    names text;
    r     record;
BEGIN
    SELECT x.* INTO j FROM sluice._job AS x WHERE x.id = which;
    SELECT v.armed INTO armed FROM sluice._visible_job AS v WHERE v.id = which;

    -- The definition, against the catalogs. The oids of a job that is not armed mean nothing.
    IF NOT armed THEN
        RETURN QUERY SELECT 'definition', 'needs_you', 'the job was made in another cluster or database', NULL, 'SELECT sluice.arm();';
    ELSE
        IF NOT EXISTS (SELECT FROM pg_foreign_server AS s WHERE s.oid = j.server_oid) THEN
            RETURN QUERY SELECT 'definition', 'needs_you', format('connection "%s" was dropped', j.server_name), NULL,
                format('SELECT sluice.alter_job(%1$L, connection => ''...''); SELECT sluice.resume_job(%1$L);', j.name);
        END IF;
        IF NOT EXISTS (SELECT FROM pg_roles AS o WHERE o.oid = j.owner_oid) THEN
            RETURN QUERY SELECT 'definition', 'needs_you', format('the role "%s", which owns the job, was dropped', j.owner_name), NULL,
                format('Make the job again as another role: SELECT sluice.drop_job(%L);', j.name);
        END IF;
        IF NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = j.target_oid) THEN
            RETURN QUERY SELECT 'target', 'needs_you', format('table %I.%I was dropped', j.target_schema, j.target_table), NULL,
                format('Make the job again, which makes the table: SELECT sluice.drop_job(%L); SELECT sluice.create_job(...);', j.name);
        ELSE
            SELECT string_agg(format('"%s"', c.name), ', ' ORDER BY c.name) INTO names
            FROM (SELECT jsonb_object_keys(j.settings -> 'columns') AS name WHERE jsonb_typeof(j.settings -> 'columns') = 'object'
                  UNION SELECT unnest(j.key)) AS c
            WHERE NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = j.target_oid AND a.attname = c.name
                              AND a.attnum > 0 AND NOT a.attisdropped);
            IF names IS NOT NULL THEN
                RETURN QUERY SELECT 'target', 'needs_you', format('the table has no column %s any more', names), NULL,
                    format('ALTER TABLE %s ADD COLUMN ...; or SELECT sluice.alter_job(%L, settings => ''{"columns": ...}'');',
                           j.target_oid::regclass, j.name);
            ELSIF j.key <> '{}' AND NOT EXISTS (
                SELECT FROM pg_index AS i WHERE i.indrelid = j.target_oid AND i.indisunique AND i.indisvalid AND i.indimmediate
                AND i.indpred IS NULL AND i.indexprs IS NULL
                AND (SELECT array_agg(a.attname::text ORDER BY a.attname::text) FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (number, place)
                     JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number WHERE k.place <= i.indnkeyatts)
                    = (SELECT array_agg(k.name ORDER BY k.name) FROM unnest(j.key) AS k (name))) THEN
                RETURN QUERY SELECT 'target', 'needs_you', format('no unique index on the key (%s)', array_to_string(j.key, ', ')), NULL,
                    format('CREATE UNIQUE INDEX ON %s (%s);', j.target_oid::regclass,
                           (SELECT string_agg(quote_ident(k.name), ', ') FROM unnest(j.key) AS k (name)));
            END IF;
        END IF;
    END IF;
    IF NOT j.enabled THEN
        RETURN QUERY SELECT 'definition', 'needs_you', 'the job is disabled: ' || coalesce(j.disabled_reason, 'no reason is known'), NULL,
            format('Mend the cause, then SELECT sluice.resume_job(%L);', j.name);
    END IF;
    IF NOT free THEN
        RETURN;
    END IF;

    -- The position.
    SELECT x.* INTO t FROM sluice._job_state AS x WHERE x.job_id = which FOR UPDATE;
    IF t.job_id IS NULL THEN
        INSERT INTO sluice._job_state AS x (job_id, generation, next_run_at)
        VALUES (which, coalesce((SELECT max(p.generation) FROM sluice._page AS p WHERE p.job_id = which), 0),
                CASE WHEN j.run_every IS NOT NULL THEN moment END)
        RETURNING x.* INTO t;
        RETURN QUERY SELECT 'checkpoint', 'mended', 'the job had no position', 'gave it one: the next run reads everything and compares every row', NULL;
    END IF;

    -- Runs that say a worker is on them, and none is.
    FOR r IN SELECT x.* FROM sluice._run AS x WHERE x.job_id = which AND x.status IN ('running', 'publishing') FOR UPDATE LOOP
        UPDATE sluice._run AS x
        SET status = CASE WHEN r.approved_by IS NULL THEN 'interrupted' ELSE 'scheduled' END,
            finished_at = CASE WHEN r.approved_by IS NULL THEN moment END
        WHERE x.id = r.id;
        IF r.approved_by IS NULL AND r.task = 'sync' THEN
            UPDATE sluice._job_state AS x SET next_run_at = moment WHERE x.job_id = which RETURNING x.* INTO t;
        END IF;
        RETURN QUERY SELECT 'run', CASE WHEN r.task = 'sync' OR r.approved_by IS NOT NULL THEN 'mended' ELSE 'needs_you' END,
            format('run %s says %s, and no worker is on it', r.id, r.status),
            CASE WHEN r.approved_by IS NOT NULL THEN 'it waits for another worker' WHEN r.task = 'sync'
                 THEN 'closed it as interrupted; the next run goes on at its checkpoint' ELSE 'closed it as interrupted' END,
            CASE WHEN r.task <> 'sync' AND r.approved_by IS NULL THEN 'Ask for it again: it was a ' || r.task || '.' END;
    END LOOP;
    UPDATE sluice._run AS x SET finished_at = coalesce(x.started_at, x.created_at)
    WHERE x.job_id = which AND x.finished_at IS NULL AND x.status NOT IN ('scheduled', 'running', 'publishing');
    GET DIAGNOSTICS n = ROW_COUNT;
    IF n > 0 THEN
        RETURN QUERY SELECT 'run', 'mended', format('%s ended runs have no end', n), 'gave them the time of their beginning', NULL;
    END IF;

    -- The retry queue, and payloads that were set aside.
    UPDATE sluice._retry AS q SET status = 'pending', next_retry_at = moment, updated_at = moment
    WHERE q.job_id = which AND q.operation = 'sync' AND q.status = 'processing'
      AND NOT EXISTS (SELECT FROM sluice._run AS x WHERE x.job_id = which AND x.status IN ('scheduled', 'running', 'publishing'));
    GET DIAGNOSTICS n = ROW_COUNT;
    IF n > 0 THEN
        RETURN QUERY SELECT 'queue', 'mended', 'a retry says it is being processed, and has no run', 'it is tried again now', NULL;
    END IF;
    IF EXISTS (SELECT FROM sluice._retry AS q WHERE q.job_id = which AND q.status = 'dead'
               AND q.id = (SELECT max(l.id) FROM sluice._retry AS l WHERE l.job_id = which)) THEN
        RETURN QUERY SELECT 'queue', 'needs_you', 'the last retry was given up', NULL, format('SELECT sluice.redrive(%L);', j.name);
    END IF;
    SELECT count(*) INTO n FROM sluice._ingest AS q WHERE q.job_id = which AND q.status = 'failed';
    IF n > 0 THEN
        RETURN QUERY SELECT 'queue', 'needs_you', format('%s payloads of webhooks were set aside', n), NULL,
            format('SELECT * FROM sluice.sync_ingest WHERE data_type = %1$L; then SELECT sluice.retry_ingest(%1$L); or SELECT sluice.drop_ingest(%1$L);', j.name);
    END IF;

    -- The plan: a job that nobody would ever run, or not for too long.
    IF armed AND j.enabled AND j.paused_at IS NULL AND j.run_every IS NOT NULL
       AND NOT EXISTS (SELECT FROM sluice._run AS x WHERE x.job_id = which AND x.status IN ('scheduled', 'running', 'publishing'))
       AND NOT EXISTS (SELECT FROM sluice._retry AS q WHERE q.job_id = which AND q.operation = 'sync' AND q.status = 'pending')
       AND (t.next_run_at IS NULL OR t.next_run_at > moment + 2 * greatest(j.run_every, interval '6 hours')) THEN
        UPDATE sluice._job_state AS x SET next_run_at = moment WHERE x.job_id = which;
        RETURN QUERY SELECT 'schedule', 'mended', CASE WHEN t.next_run_at IS NULL THEN 'no next run is planned'
            ELSE format('the next run is planned for %s, far beyond its interval', date_trunc('second', t.next_run_at)) END, 'it runs now', NULL;
    END IF;

    -- The ledger: a count of reads that went back, pages of reads that the job does not know, and a checkpoint that does not
    -- stand behind the last page.
    IF t.published_generation > t.generation OR t.whole_generation > t.generation THEN
        UPDATE sluice._job_state AS x SET generation = greatest(t.published_generation, t.whole_generation), definition = NULL,
               complete = false, skip_valid = false WHERE x.job_id = which RETURNING x.* INTO t;
        RETURN QUERY SELECT 'checkpoint', 'mended', 'the job counts fewer reads than were published',
            'counts on from the published one; the next run compares every row', NULL;
    END IF;
    DELETE FROM sluice._page AS p WHERE p.job_id = which AND p.generation > t.generation;
    GET DIAGNOSTICS n = ROW_COUNT;
    IF n > 0 THEN
        RETURN QUERY SELECT 'ledger', 'mended', format('%s pages of a read that the job knows nothing of', n), 'forgot them', NULL;
    END IF;
    IF t.reading AND t.definition IS NOT NULL THEN
        SELECT count(*), coalesce(max(p.number), 0) INTO n, m FROM sluice._page AS p WHERE p.job_id = which AND p.generation = t.generation;
        IF (n, m) IS DISTINCT FROM (t.page_number - 1, t.page_number - 1) THEN
            UPDATE sluice._job_state AS x SET definition = NULL, complete = false, skip_valid = false WHERE x.job_id = which
            RETURNING x.* INTO t;
            RETURN QUERY SELECT 'checkpoint', 'mended', format('the checkpoint stands at page %s, and the ledger has %s pages up to page %s',
                t.page_number, n, m), 'gave up the read: the next one begins at its first page and compares every row', NULL;
        END IF;
    END IF;
    -- The page store. Reads that write as they come need no contents.
    IF j.mode = 'replace' THEN
        IF t.reading AND t.definition IS NOT NULL AND EXISTS (
            SELECT FROM sluice._page AS p WHERE p.job_id = which AND p.generation = t.generation AND p.records > 0
            AND NOT EXISTS (SELECT FROM sluice._page_body AS b WHERE b.job_id = which AND b.hash = p.hash)) THEN
            UPDATE sluice._job_state AS x SET definition = NULL, complete = false, skip_valid = false WHERE x.job_id = which;
            RETURN QUERY SELECT 'store', 'mended', 'pages of the read in progress are not stored any more',
                'gave up the read: the next one begins at its first page', NULL;
        END IF;
        FOR r IN SELECT x.id FROM sluice._run AS x WHERE x.job_id = which AND x.status = 'held' AND EXISTS (
            SELECT FROM sluice._page AS p WHERE p.job_id = which AND p.generation = x.generation AND p.records > 0
            AND NOT EXISTS (SELECT FROM sluice._page_body AS b WHERE b.job_id = which AND b.hash = p.hash)) LOOP
            RETURN QUERY SELECT 'store', 'needs_you', format('pages of the held run %s are not stored any more: it cannot be approved', r.id),
                NULL, format('SELECT sluice.discard(%s);', r.id);
        END LOOP;
        DELETE FROM sluice._page AS p
        WHERE p.job_id = which AND p.records > 0 AND NOT (t.reading AND p.generation = t.generation)
          AND NOT EXISTS (SELECT FROM sluice._page_body AS b WHERE b.job_id = which AND b.hash = p.hash)
          AND NOT EXISTS (SELECT FROM sluice._run AS x WHERE x.job_id = which AND x.status = 'held' AND x.generation = p.generation);
        GET DIAGNOSTICS n = ROW_COUNT;
        IF n > 0 THEN
            UPDATE sluice._job_state AS x SET skip_valid = false WHERE x.job_id = which;
            RETURN QUERY SELECT 'store', 'mended', format('%s published pages are not stored any more', n),
                'forgot them: the next run compares every row; rows of theirs that vanish remotely before it stay',
                format('Compare %s with the remote where rows vanish there often.', j.target_oid::regclass);
        END IF;
    END IF;
    DELETE FROM sluice._page_body AS b
    WHERE b.job_id = which AND NOT EXISTS (SELECT FROM sluice._page AS p WHERE p.job_id = which AND p.hash = b.hash);
    GET DIAGNOSTICS n = ROW_COUNT;
    IF n > 0 THEN
        RETURN QUERY SELECT 'store', 'mended', format('%s stored contents belong to no page', n), 'forgot them', NULL;
    END IF;

    -- What would be put back.
    DELETE FROM sluice._undo AS u
    WHERE u.job_id = which AND NOT EXISTS (SELECT FROM sluice._run AS x WHERE x.id = u.run_id AND x.job_id = which);
    GET DIAGNOSTICS n = ROW_COUNT;
    IF n > 0 THEN
        RETURN QUERY SELECT 'undo sets', 'mended', format('%s undo batches belong to no run of the job', n), 'forgot them', NULL;
    END IF;
    FOR r IN SELECT s.id, s.label FROM sluice._snapshot AS s WHERE s.job_id = which
             AND NOT EXISTS (SELECT FROM sluice._snapshot_chunk AS c WHERE c.snapshot_id = s.id
                             HAVING count(*) = s.chunks AND coalesce(sum(c.rows), 0) = s.rows) LOOP
        RETURN QUERY SELECT 'snapshots', 'needs_you', format('rows of snapshot %s ("%s") are gone: it cannot be restored', r.id, r.label),
            NULL, format('SELECT sluice.drop_snapshot(%s);', r.id);
    END LOOP;
END
$$;

-- What belongs to no job, and the processes.
CREATE FUNCTION sluice._repair_system(moment timestamptz)
RETURNS TABLE (checked text, result text, found text, done text, action text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    owned text;
    n     bigint;
    r     record;
BEGIN
    FOREACH owned IN ARRAY '{_page,_page_body,_parent,_parent_cursor,_brought,_missing,_undo,_ingest,_ingested,_retry,_reject,_snapshot,_total,_job_state,_run}'::text[] LOOP
        EXECUTE format('DELETE FROM sluice.%I AS x WHERE NOT EXISTS (SELECT FROM sluice._job AS j WHERE j.id = x.job_id)', owned);
        GET DIAGNOSTICS n = ROW_COUNT;
        IF n > 0 THEN
            RETURN QUERY SELECT CASE owned WHEN '_snapshot' THEN 'snapshots' WHEN '_undo' THEN 'undo sets' WHEN '_retry' THEN 'queue'
                    WHEN '_run' THEN 'run' WHEN '_page' THEN 'ledger' WHEN '_job_state' THEN 'checkpoint' ELSE 'store' END,
                'mended', format('%s rows of %s belong to jobs that are gone', n, owned), 'forgot them', NULL;
        END IF;
    END LOOP;
    DELETE FROM sluice._snapshot_chunk AS c WHERE NOT EXISTS (SELECT FROM sluice._snapshot AS s WHERE s.id = c.snapshot_id);
    GET DIAGNOSTICS n = ROW_COUNT;
    IF n > 0 THEN
        RETURN QUERY SELECT 'snapshots', 'mended', format('%s pieces of snapshots that are gone', n), 'forgot them', NULL;
    END IF;
    -- A lock outlives nothing: its process is there, and is one of ours.
    FOR r IN SELECT k.pid, j.name FROM sluice._running_job AS k JOIN sluice._job AS j ON j.id = k.job_id
             WHERE k.pid <> pg_backend_pid() AND NOT EXISTS (SELECT FROM sluice._workers() AS w WHERE w.pid = k.pid) LOOP
        RETURN QUERY SELECT 'locks', 'needs_you', format('process %s keeps the lock of job "%s" and is no worker', r.pid, r.name), NULL,
            format('Where it is no repair_sync() of a transaction that is still open: SELECT pg_terminate_backend(%s);', r.pid);
    END LOOP;
    FOR r IN SELECT w.pid, j.name, w.phase, moment - w.last_progress_at AS still FROM sluice._workers() AS w JOIN sluice._job AS j ON j.id = w.job_id
             WHERE w.last_progress_at < moment - interval '5 minutes' LOOP
        RETURN QUERY SELECT 'locks', 'needs_you', format('the worker of job "%s" (process %s, %s) has made no progress for %s', r.name, r.pid, r.phase,
            date_trunc('second', r.still)), NULL, format('SELECT sluice.stop_sync(%1$L); it goes on at its checkpoint with SELECT sluice.start_sync(%1$L);', r.name);
    END LOOP;
    IF NOT sluice._launcher_is_running() THEN
        RETURN QUERY SELECT 'scheduler', 'needs_you', 'the launcher is not running: nothing is started', NULL, 'SELECT * FROM sluice.self_test();';
    ELSIF coalesce(current_setting('sluice.enabled', true), 'on') <> 'on' THEN
        RETURN QUERY SELECT 'scheduler', 'needs_you', 'sluice.enabled is off: nothing is started', NULL,
            'ALTER SYSTEM SET sluice.enabled = on; SELECT pg_reload_conf();';
    END IF;
END
$$;

COMMENT ON FUNCTION sluice.optimize_sync(text, boolean) IS 'Judges page_size, concurrency and schedule of a job (NULL: of all that the caller may operate) by its last runs, one row each: current, proposed (NULL: it stays), reason. Takes five runs that succeeded; a row with what = runs says that there are fewer. apply: sets what is proposed as alter_job does; page_size and concurrency only between reads. A page_size with min and max adapts by itself and is never set. Errors: 42704 unknown job, 42501 it belongs to another role, 25006 on a standby.';
COMMENT ON FUNCTION sluice.repair_sync(text) IS 'Checks what is kept of a job (NULL: of all that the caller may operate, and what belongs to none): definition, target, runs, queue, schedule, checkpoint, ledger, page store, undo sets, snapshots, locks, scheduler. Mends what can be mended; nothing is written to a target. One row a finding: what was checked, result (ok, mended, needs_you), what was found, what was done, and what a person must do. Errors: 42704 unknown job, 42501 it belongs to another role, 25006 on a standby.';
