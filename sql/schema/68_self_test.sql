-- The installation, one row a thing that it needs.

CREATE FUNCTION sluice.self_test() RETURNS TABLE (check_name text, ok boolean, detail text, hint text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    allowed    integer := sluice._worker_limit();
    loaded    boolean := sluice._is_preloaded();
    slots     integer := current_setting('max_worker_processes')::integer;
    key_fault text := sluice._key_fault();
    arm_fault text := sluice._arm_file_fault();
    figures   record;
    counted   record;
    unarmed   boolean;
BEGIN
    SELECT f.* INTO figures FROM sluice.sync_figures AS f;
    unarmed := arm_fault IS NOT NULL OR figures.armed_jobs < figures.jobs;

    -- First where it fails: until then nothing else matters to jobs that do not run.
    IF unarmed THEN
        RETURN QUERY SELECT 'arming', false, coalesce(arm_fault || '; ', '') || format('%s of %s jobs may run here', figures.armed_jobs, figures.jobs),
            CASE WHEN arm_fault IS NOT NULL THEN sluice._arm_file_hint() ELSE 'If this database shall call the remotes: SELECT sluice.arm();' END;
    END IF;

    RETURN QUERY SELECT 'preload', loaded, CASE WHEN loaded THEN 'pg_sluice is in shared_preload_libraries'
            ELSE format('shared_preload_libraries is ''%s''', current_setting('shared_preload_libraries')) END,
        CASE WHEN NOT loaded THEN 'Add "shared_preload_libraries = ''pg_sluice''" to postgresql.conf (after a comma where others stand there) and restart the server.' END;

    RETURN QUERY SELECT 'launcher', sluice._launcher_is_running(),
        CASE WHEN sluice._launcher_is_running() THEN 'running'
             WHEN NOT loaded THEN 'there is none without preload'
             WHEN pg_is_in_recovery() THEN 'this server is a standby; it starts when it is promoted'
             ELSE 'not running' END,
        CASE WHEN loaded AND NOT sluice._launcher_is_running() AND NOT pg_is_in_recovery()
             THEN 'It is started again within five seconds; the server''s log says why it ended. max_worker_processes may be too low.' END;

    RETURN QUERY SELECT 'enabled', coalesce(current_setting('sluice.enabled', true), 'on') = 'on' AND sluice._serves_database(current_database()),
        format('sluice.enabled is %s; sluice.databases is ''%s''', current_setting('sluice.enabled', true), current_setting('sluice.databases', true)),
        CASE WHEN coalesce(current_setting('sluice.enabled', true), 'on') <> 'on' THEN 'ALTER SYSTEM SET sluice.enabled = on; SELECT pg_reload_conf();'
             WHEN NOT sluice._serves_database(current_database()) THEN 'ALTER SYSTEM SET sluice.databases = ''*''; SELECT pg_reload_conf();' END;

    SELECT count(*) AS running INTO counted FROM sluice.sync_progress;
    RETURN QUERY SELECT 'workers', slots >= allowed + 2,
        format('sluice.max_workers is %s (%s running here); max_worker_processes is %s, and a launcher and a scheduler take two', allowed, counted.running, slots),
        CASE WHEN slots < allowed + 2 THEN format('ALTER SYSTEM SET max_worker_processes = %s; then restart the server.', greatest(8, allowed + 4)) END;

    SELECT count(*) AS waiting INTO counted FROM sluice.sync_status AS s WHERE s.status = 'waiting_for_worker';
    RETURN QUERY SELECT 'slots', counted.waiting = 0, format('%s jobs wait for a worker', counted.waiting),
        CASE WHEN counted.waiting > 0 THEN 'They run in turn. Where that lasts, raise sluice.max_workers, and max_worker_processes with it.' END;

    SELECT r.rolsuper AS by_superuser, r.rolname AS owner INTO counted
    FROM pg_extension AS e JOIN pg_roles AS r ON r.oid = e.extowner WHERE e.extname = 'pg_sluice';
    RETURN QUERY SELECT 'privileges', counted.by_superuser,
        format('the extension belongs to %s; %s is %s', counted.owner, current_user, coalesce(nullif(concat_ws(', ',
            CASE WHEN has_function_privilege('sluice._admin_level()', 'EXECUTE') THEN 'admin' END,
            CASE WHEN has_function_privilege('sluice._operator_level()', 'EXECUTE') THEN 'operator' END,
            CASE WHEN has_function_privilege('sluice._writer_level()', 'EXECUTE') THEN 'writer' END,
            CASE WHEN has_function_privilege('sluice._monitor_level()', 'EXECUTE') THEN 'monitor' END), ''), 'of no level')),
        CASE WHEN NOT counted.by_superuser THEN 'Its functions act for others with its owner''s rights: ALTER the role, or make the extension again as a superuser.' END;

    RETURN QUERY SELECT 'key', key_fault IS NULL, coalesce(key_fault, 'the key file is there and only the server can read it'),
        CASE WHEN key_fault IS NOT NULL THEN sluice._key_hint() END;

    IF NOT unarmed THEN
        RETURN QUERY SELECT 'arming', true, format('%s of %s jobs may run here', figures.armed_jobs, figures.jobs), NULL;
    END IF;

    RETURN QUERY SELECT 'pg_cron', true,
        CASE WHEN NOT EXISTS (SELECT FROM pg_extension AS e WHERE e.extname = 'pg_cron') THEN 'not in this database: the scheduler processes retries by itself'
             WHEN sluice._is_processed_by_cron() THEN 'it processes the retries; the scheduler steps in for those that are three minutes late'
             ELSE 'it is here and has no job of ours: the scheduler processes retries by itself' END,
        CASE WHEN EXISTS (SELECT FROM pg_extension AS e WHERE e.extname = 'pg_cron') AND NOT sluice._is_processed_by_cron()
             THEN 'Where it shall process them: SELECT * FROM sluice.install_cron_jobs();' END;

    RETURN QUERY SELECT 'network policy', true, sluice._network_policy(),
        'A refused address: ALTER SYSTEM SET sluice.allowed_networks = ''10.0.0.0/8''; SELECT pg_reload_conf();';

    SELECT count(*) FILTER (WHERE q.status = 'pending' AND q.next_retry_at < now() - interval '5 minutes') AS late,
           count(*) FILTER (WHERE q.status = 'pending') AS pending, count(*) FILTER (WHERE q.status = 'dead') AS dead
    INTO counted FROM sluice.sync_retry_queue AS q;
    RETURN QUERY SELECT 'queue', counted.late = 0, format('%s retries wait, %s of them late; %s were given up', counted.pending, counted.late, counted.dead),
        CASE WHEN counted.late > 0 THEN 'SELECT * FROM sluice.repair_sync();' WHEN counted.dead > 0 THEN 'SELECT sluice.redrive(data_type);' END;

    RETURN QUERY SELECT 'clock', coalesce(figures.last_end_at <= clock_timestamp() + interval '1 minute', true),
        CASE WHEN figures.last_end_at > clock_timestamp() + interval '1 minute'
             THEN format('it is %s, and the last run ended at %s: the clock went back', date_trunc('second', clock_timestamp()), date_trunc('second', figures.last_end_at))
             ELSE format('it is %s, after everything that was noted', date_trunc('second', clock_timestamp())) END,
        CASE WHEN figures.last_end_at > clock_timestamp() + interval '1 minute'
             THEN 'Set the clock by NTP; jobs that are planned for later than their interval run at once after SELECT * FROM sluice.repair_sync();' END;
END
$$;

COMMENT ON FUNCTION sluice.self_test() IS 'Looks at the installation, one row a thing that it needs: preload, launcher, enabled, workers, slots, privileges, key, arming, pg_cron, network policy, queue, clock. ok is false where something keeps it from working; arming is the first row where it is what fails; hint is the next step. Works without preload, too.';
