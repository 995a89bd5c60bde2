-- pg_cron, where a DBA wants it to process retries. Without it the scheduler does the same by itself.

CREATE FUNCTION sluice._cron_jobs() RETURNS TABLE (jobname text, schedule text, command text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    VALUES ('process-sync-retries', '*/2 * * * *', 'SELECT sluice.process_sync_retries()'),
           ('sluice-cleanup', '17 3 * * *', 'SELECT sluice.cleanup()');
END;

CREATE FUNCTION sluice.install_cron_jobs()
RETURNS TABLE (jobname text, schedule text, command text, installed boolean, statement text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    here boolean := EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron');
BEGIN
    FOR jobname, schedule, command IN SELECT c.jobname, c.schedule, c.command FROM sluice._cron_jobs() AS c LOOP
        statement := format('SELECT cron.schedule_in_database(%L, %L, %L, %L);', jobname, schedule, command, current_database());
        installed := here;
        IF here THEN
            PERFORM cron.schedule(jobname, schedule, command);
            statement := NULL;
        END IF;
        RETURN NEXT;
    END LOOP;
    IF NOT here THEN
        RAISE NOTICE 'pg_cron is not in this database' USING
            DETAIL = 'The scheduler of pg_sluice processes retries by itself meanwhile.',
            HINT = format('Run the statements of column "statement" in the database of pg_cron (%s).',
                          coalesce(current_setting('cron.database_name', true), 'setting cron.database_name; it is not loaded now'));
    END IF;
END
$$;

CREATE FUNCTION sluice.remove_cron_jobs() RETURNS TABLE (jobname text, removed boolean, statement text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    here boolean := EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron');
BEGIN
    FOR jobname IN SELECT c.jobname FROM sluice._cron_jobs() AS c LOOP
        removed := false;
        statement := format('SELECT cron.unschedule(%L);', jobname);
        IF here THEN
            statement := NULL;
            IF EXISTS (SELECT FROM cron.job AS j WHERE j.jobname = remove_cron_jobs.jobname AND j.username = current_user) THEN
                removed := cron.unschedule(remove_cron_jobs.jobname);
            END IF;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
