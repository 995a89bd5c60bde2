-- The end of the script, when every object is there: what each is, and who may use it.

COMMENT ON FOREIGN DATA WRAPPER pg_sluice IS 'A connection to a remote REST API is a server of this wrapper. Options: base_url, auth (none, bearer, basic, api_key), secret, username, api_key_name, api_key_in (header, query), requests_per_second, max_concurrency, plain_http, methods.';

COMMENT ON VIEW sluice.sync_jobs IS 'One row a job: its definition, who it runs as, and when it runs next.';
COMMENT ON VIEW sluice.sync_runs IS 'One row a run: how it ended, what it read and wrote, and the error that ended it.';
COMMENT ON VIEW sluice.sync_held IS 'Runs that a guard kept back and that wait for CALL sluice.approve(run) or SELECT sluice.discard(run).';
COMMENT ON VIEW sluice.sync_progress IS 'One row a worker that is alive: phase, pages, records, bytes; moves while a run is running.';
COMMENT ON VIEW sluice.sync_status IS 'One row a job: what it is doing now, how far it is, what went wrong and who must act (nobody, wait, remote, you: …).';
COMMENT ON VIEW sluice.sync_connection_health IS 'One row a job: healthy, degraded, unhealthy or unknown, from the age of the data and the last run, with the reason.';
COMMENT ON VIEW sluice.sync_connections IS 'One row a connection: origin, kind of authentication, and whether it works.';
COMMENT ON VIEW sluice.sync_metadata IS 'One row a job: times, items and duration of its last run.';
COMMENT ON VIEW sluice.sync_undo IS 'One row a run that can still be rolled back: how many rows its undo set holds, and how large it is.';
COMMENT ON VIEW sluice.sync_secrets IS 'Names, owners, origins and dates of secrets; never a value.';

COMMENT ON FUNCTION sluice.create_connection(text, text, jsonb) IS 'Makes a connection, as CREATE SERVER … FOREIGN DATA WRAPPER pg_sluice does; options are those of the wrapper.';
COMMENT ON FUNCTION sluice.drop_connection(text) IS 'Drops a connection that no job uses; an error (2BP01) while jobs use it.';
COMMENT ON FUNCTION sluice.test_connection(text, text, jsonb) IS 'Looks at the remote step by step: resolve, address, connect, tls, auth, response, records, rate limit. ok is NULL for what was not tried.';
COMMENT ON FUNCTION sluice.set_secret(text, text, text) IS 'Seals a value under a name of the caller. It is sent to one origin only: the one given, else that of the first connection of its owner that names it.';
COMMENT ON FUNCTION sluice.drop_secret(text, text) IS 'Forgets a secret of the caller, or, for an admin, of another owner.';
COMMENT ON FUNCTION sluice.grant_secret(text, text) IS 'Lets servers of another role name a secret of the caller; it must be bound to an origin.';
COMMENT ON FUNCTION sluice.create_job(text, text, text, text, text, text[], text, text, jsonb) IS 'Binds a collection below a connection to a table, which is made from the first page where it is missing. mode: replace, upsert. schedule: an interval or manual. Returns the job''s id.';
COMMENT ON FUNCTION sluice.alter_job(text, text, text, text, text[], text, text, jsonb) IS 'Changes a job; NULL leaves a part as it is. Settings are merged by key, null takes a key away. A change of what is read begins a new read.';
COMMENT ON FUNCTION sluice.drop_job(text, boolean) IS 'Drops a job with its history; the table stays unless drop_target is true.';
COMMENT ON FUNCTION sluice.pause_job(text, text) IS 'Keeps a job from running until resume_job; a run under way ends at its checkpoint.';
COMMENT ON FUNCTION sluice.resume_job(text) IS 'Lets a paused or disabled job run again.';
COMMENT ON FUNCTION sluice.start_sync(text, bigint) IS 'Asks for a run at commit and returns its id; the running run''s id where one is running.';
COMMENT ON PROCEDURE sluice.sync(text) IS 'Asks for a run and waits for it, telling progress as NOTICEs; raises the error that it ended with. Not inside a transaction block.';
COMMENT ON FUNCTION sluice.stop_sync(text) IS 'Ends the open run of a job (NULL: of all that the caller may operate), keeping its checkpoint; returns how many.';
COMMENT ON FUNCTION sluice.force_sync_all() IS 'Asks for a run of every job that the caller may operate; returns how many.';
COMMENT ON PROCEDURE sluice.approve(bigint) IS 'Publishes a held run and waits for it. Not inside a transaction block.';
COMMENT ON FUNCTION sluice.discard(bigint) IS 'Drops a held run; the target stays as it is.';
COMMENT ON PROCEDURE sluice.rollback_to(text, bigint, boolean) IS 'Puts rows and position back to what they were after a run (NULL: before the latest published one). The job is paused unless resume is true. Rows that others changed since are left and reported.';
COMMENT ON FUNCTION sluice.preview_rollback(text, bigint) IS 'The runs that a rollback would undo, newest first, with counts of rows.';
COMMENT ON FUNCTION sluice.get_sync_status(text) IS 'The scheduler in numbers and the jobs as sync_status shows them, as one jsonb.';
COMMENT ON FUNCTION sluice.arm() IS 'Lets the jobs of a restored, copied or upgraded database run here; returns how many were armed.';
COMMENT ON FUNCTION sluice.grant_access(text, text) IS 'Gives a role an access level: monitor, writer, operator or admin.';
COMMENT ON FUNCTION sluice.revoke_access(text) IS 'Takes all access levels from a role.';

-- Functions are executable by everybody when they are made; ours by nobody.
DO $$
DECLARE
    routine pg_catalog.regprocedure;
    statement text;
BEGIN
    FOR routine IN
        SELECT p.oid::pg_catalog.regprocedure FROM pg_catalog.pg_proc AS p
        WHERE p.pronamespace = 'sluice'::pg_catalog.regnamespace
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', routine);
    END LOOP;
    -- Monitoring needs no role of ours.
    EXECUTE 'GRANT USAGE ON SCHEMA sluice TO pg_monitor';
    FOR statement IN SELECT s FROM sluice._access_statements('GRANT', 'TO', 'pg_monitor', 'monitor') AS s LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
