-- pg_cron, where a DBA wants it to process retries. Without it the scheduler does the same by itself.

-- pg_cron knows a name once a role, whatever the database: where another database of the cluster has it, ours is elsewhere.
CREATE FUNCTION sluice._cron_jobs() RETURNS TABLE (jobname text, elsewhere text, schedule text, command text)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT v.jobname, pg_catalog.format('%s in %s', v.jobname, pg_catalog.current_database())::name::text, v.schedule, v.command
    FROM (VALUES ('process-sync-retries', '*/2 * * * *', 'SELECT sluice.process_sync_retries()'),
                 ('sluice-cleanup', '17 3 * * *', 'SELECT sluice.cleanup()')) AS v (jobname, schedule, command);
END;

-- Whether pg_cron is in this database; an error where it is, and the current user may not use it.
CREATE FUNCTION sluice._cron_is_here() RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron') THEN
        RETURN false;
    END IF;
    IF NOT has_schema_privilege('cron', 'USAGE') THEN
        RAISE EXCEPTION 'permission denied for schema cron' USING
            ERRCODE = 'insufficient_privilege',
            DETAIL = 'The jobs of pg_cron belong to the role that makes them.',
            HINT = format('As a superuser: GRANT USAGE ON SCHEMA cron TO %I;', current_user);
    END IF;
    RETURN true;
END
$$;

CREATE FUNCTION sluice.install_cron_jobs()
RETURNS TABLE (jobname text, schedule text, command text, installed boolean, statement text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    wanted record;
BEGIN
    installed := sluice._cron_is_here();
    FOR wanted IN SELECT c.* FROM sluice._cron_jobs() AS c LOOP
        jobname := wanted.jobname;
        schedule := wanted.schedule;
        command := wanted.command;
        IF installed THEN
            IF EXISTS (SELECT FROM cron.job AS j
                       WHERE j.jobname = wanted.jobname AND j.username = current_user AND j.database <> current_database()) THEN
                jobname := wanted.elsewhere;
            END IF;
            PERFORM cron.schedule(install_cron_jobs.jobname, install_cron_jobs.schedule, install_cron_jobs.command);
        ELSE
            statement := format('SELECT cron.schedule_in_database(CASE WHEN EXISTS (SELECT FROM cron.job WHERE jobname = %1$L AND '
                                'username = current_user AND database <> %5$L) THEN %2$L ELSE %1$L END, %3$L, %4$L, %5$L);',
                                wanted.jobname, wanted.elsewhere, wanted.schedule, wanted.command, current_database());
        END IF;
        RETURN NEXT;
    END LOOP;
    IF NOT installed THEN
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
    here   boolean := sluice._cron_is_here();
    wanted record;
    made   record;
BEGIN
    FOR wanted IN SELECT c.* FROM sluice._cron_jobs() AS c LOOP
        jobname := wanted.jobname;
        removed := false;
        IF here THEN
            FOR made IN SELECT j.jobid, j.jobname FROM cron.job AS j
                        WHERE j.jobname IN (wanted.jobname, wanted.elsewhere) AND j.username = current_user
                          AND j.database = current_database() LOOP
                jobname := made.jobname;
                removed := cron.unschedule(made.jobid);
            END LOOP;
        ELSE
            statement := format('SELECT cron.unschedule(jobid) FROM cron.job WHERE jobname IN (%L, %L) AND username = current_user '
                                'AND database = %L;', wanted.jobname, wanted.elsewhere, current_database());
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
