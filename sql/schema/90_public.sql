-- The end of the script, when every object is there: what each is, and who may use it.

COMMENT ON FOREIGN DATA WRAPPER pg_sluice IS 'A connection to a remote REST API is a server of this wrapper. Options: base_url (https://host/path, without user name and query), auth (none, bearer, basic, api_key), secret (the name given to set_secret, never the value), username (basic), api_key_name and api_key_in (header, query), requests_per_second (a number above 0), max_concurrency (1 to 75), plain_http (on, off), methods (GET, HEAD). A wrong option is an error when it is given: HV00D for an unknown one, 22023 for a wrong value.';
COMMENT ON EVENT TRIGGER sluice_connection_dropped IS 'Pauses the jobs whose connection is dropped.';
COMMENT ON VIEW sluice.sync_jobs IS 'One row a job: its definition, who it runs as (run_as is the target''s owner), whether it may run (enabled, armed), and when it runs next.';
COMMENT ON VIEW sluice.sync_runs IS 'One row a run: where it came from, how it ended (status), what it read and wrote (pages, records, rows, bytes), and the error that ended it (class, SQLSTATE, message, detail, hint). Texts that may quote the data are for roles with the rights of the job''s owner.';
COMMENT ON VIEW sluice.sync_held IS 'Runs that a guard kept back and that wait for CALL sluice.approve(run_id) or SELECT sluice.discard(run_id), with the reason.';
COMMENT ON VIEW sluice.sync_ingest IS 'One row a payload of a webhook that waits (queued) or could not become rows (failed): how large it is, what it waits for, the error. One that was written is no longer there. payload is for roles with the rights of the job''s owner.';
COMMENT ON VIEW sluice.sync_progress IS 'One row a worker that is alive: phase, pages, records, bytes (decoded), rate in records a second; moves while a run is running.';
COMMENT ON VIEW sluice.sync_status IS 'One row a job: what it is doing now, how far it is (percent of the pages, rate in records a second, eta), what went wrong, and who must act (action: nobody, wait, remote, you: ...). hint is the statement or the step that helps. Counters speak of the open run, or of the last one; unconfirmed counts rows that are missing from the last read and not yet proven gone.';
COMMENT ON VIEW sluice.sync_connection_health IS 'One row a job: healthy, degraded, unhealthy or unknown, from the age of the data and the last run, with the reason. item_count: records of the last complete read.';
COMMENT ON VIEW sluice.sync_connections IS 'One row a connection: its origin, kind of authentication, and state by its last run: connected, reauth_required where the remote refused the credential, NULL where the remote has not answered (or was never asked).';
COMMENT ON VIEW sluice.sync_metadata IS 'One row a job: times, items and duration of its last run; schema_hash changes with the mapping.';
COMMENT ON VIEW sluice.sync_undo IS 'One row a run that can still be rolled back: how many rows its undo set holds, and how many bytes it takes.';
COMMENT ON VIEW sluice.sync_drift IS 'One row a field of a job''s records that is not as it was: new_field (a member that no column takes, or that a run has given a column: column_name), missing_field (a mapped member that a whole read no longer had), type_changed (values of another JSON type; note says which there were before). sample_type is the type that came, seen_count how many records had it (whole reads, where it is what is missing). Names and types, never values; at most 1,000 rows a job, the rest is counted under the field *.';
COMMENT ON VIEW sluice.sync_rejects IS 'One row a record that could not become a row: where it came (run, generation, page, position in it), what was wrong (column_name, sqlstate, error), and what became of it. status: rejected (it waits to be mended), replayed (written since), superseded (a later read brought another version, or none). raw: the first 65536 characters of the record; truncated says that there are more. key, raw and the detail are for roles with the rights of the job''s owner.';
COMMENT ON VIEW sluice.sync_secrets IS 'Names, owners, origins and dates of secrets; never a value.';
COMMENT ON FUNCTION sluice.create_connection(text, text, jsonb) IS 'Makes a connection, as CREATE SERVER ... FOREIGN DATA WRAPPER pg_sluice does. name: 1 to 63 bytes. base_url: https://host/path. options: an object with the other option names of the wrapper. Errors: 42710 the name is taken, HV00D unknown option or one that looks like a credential, 22023 wrong value, 42501 without USAGE on the wrapper.';
COMMENT ON FUNCTION sluice.drop_connection(text) IS 'Drops a connection that no job uses. Errors: 42704 unknown connection, 2BP01 while jobs use it.';
COMMENT ON FUNCTION sluice.test_connection(text, text, jsonb) IS 'Looks at the remote step by step, with one request: resolve, address, connect, tls, auth, response, records, rate limit. Without a usable secret none is sent, and auth says why. path: below the base URL. settings: as for create_job. ok is NULL for what was not tried. Errors: 42704 unknown connection, 42501 without USAGE, 22023 wrong path or setting.';
COMMENT ON FUNCTION sluice.set_secret(text, text, text) IS 'Seals a value under a name of the caller, or replaces it. origin: the scheme, host and port that it may be sent to; NULL: that of the first connection of its owner that names it. Errors: F0000 no usable key file, 42602 wrong name, 22023 wrong value or origin.';
COMMENT ON FUNCTION sluice.drop_secret(text, text) IS 'Forgets a secret of the caller, or, for an admin, of another owner. Errors: 42704 unknown secret or role, 42501 it belongs to another role.';
COMMENT ON FUNCTION sluice.grant_secret(text, text) IS 'Lets servers of another role name a secret of the caller. Errors: 42704 unknown secret or role, 55000 it is not bound to an origin.';
COMMENT ON FUNCTION sluice.create_job(text, text, text, text, text, text[], text, text, jsonb) IS 'Binds a collection below a connection to a table, and returns the job''s id. path: below the base URL. target: a table, with or without schema (NULL: the job''s name); made from the first page where it is missing, and then owned by the caller. mode: replace (each read is the whole collection) or upsert (changes, by key). key: columns with a unique index (NULL: the primary key). schedule: an interval such as 30 minutes, or manual; else the first run starts at the commit. priority: high, normal, low. settings: an object, see docs/guide/first-sync.md. Errors: 42710 name taken, 42704 unknown connection, 42501 missing rights, 3F000 unknown schema, 22023 wrong argument or setting, 0A000 not supported yet, 42P10 no unique index on the key, 42809 target is no table.';
COMMENT ON FUNCTION sluice.alter_job(text, text, text, text, text[], text, text, jsonb) IS 'Changes a job; NULL leaves a part as it is. Settings are merged by key, null takes a key away. A change of what is read begins a new read. Errors: 42704 unknown job, and those of create_job.';
COMMENT ON FUNCTION sluice.drop_job(text, boolean) IS 'Drops a job with its history; a run under way is stopped. The table stays unless drop_target is true. Errors: 42704 unknown job, 42501 it belongs to another role.';
COMMENT ON FUNCTION sluice.pause_job(text, text) IS 'Keeps a job from running until resume_job; a run under way ends at its checkpoint. reason: shown in sync_status. Errors: 42704 unknown job.';
COMMENT ON FUNCTION sluice.resume_job(text) IS 'Lets a paused or disabled job run again; one with a schedule runs at once. Errors: 42704 unknown job, or its connection was dropped.';
COMMENT ON FUNCTION sluice.start_sync(text, bigint) IS 'Asks for a run at commit and returns its id; the running run''s id where one is running. from_page is not supported yet (0A000). Errors: 42704 unknown job, 55000 paused or disabled, SY009 not armed.';
COMMENT ON PROCEDURE sluice.sync(text) IS 'Asks for a run and waits for it, telling progress as NOTICEs; raises the error that it ended with. Cancelling the call cancels the run. Errors: 25001 inside a transaction block, and those of start_sync.';
COMMENT ON FUNCTION sluice.stop_sync(text) IS 'Ends the open run of a job (NULL: of all that the caller may operate), keeping its checkpoint; returns how many. Errors: 42704 unknown job.';
COMMENT ON FUNCTION sluice.force_sync_all() IS 'Asks for a run of every job that the caller may operate and that is neither paused, disabled nor unarmed; returns how many.';
COMMENT ON PROCEDURE sluice.approve(bigint) IS 'Publishes a held run and waits for it. Errors: 25001 inside a transaction block, 42704 unknown run, 55000 the run is not held, or a newer one took its place.';
COMMENT ON FUNCTION sluice.discard(bigint) IS 'Drops a held run; the target stays as it is. Errors: 42704 unknown run, 55000 the run is not held.';
COMMENT ON PROCEDURE sluice.rollback_to(text, bigint, boolean) IS 'Puts rows and position back to what they were after a run (NULL: before the latest published one), atomically. The job is paused unless resume is true. Rows that others changed since are left, and columns that the table has lost since are left out; both are reported. Errors: 25001 inside a transaction block, 42704 unknown job, 55000 nothing to roll back, or a run that is not kept.';
COMMENT ON PROCEDURE sluice.replay_rejects(text) IS 'Makes rows of a job''s rejected records again, with the definition and the table as they are now, as one run that can be rolled back. Of each key the newest version counts, and a row that a later read brought is never overwritten. Those that still do not fit stay, with their present error. Errors: 25001 inside a transaction block, 42704 unknown job, 55000 not armed or disabled.';
COMMENT ON FUNCTION sluice.preview_rollback(text, bigint) IS 'The runs that a rollback would undo, newest first, with counts of rows, and a last row with what would be taken back in all: counted in the table, but for the rows of a first load, which are counted as they came. Errors: those of rollback_to.';
COMMENT ON TYPE sluice.priority IS 'How urgent a job''s work is: low, normal, high, in this order, so that ORDER BY priority DESC puts high first.';
COMMENT ON VIEW sluice.sync_retry_queue IS 'What failed for a reason that may pass: pending entries wait until next_retry_at, processing ones have a run, completed ones ended well, dead ones are given up until redrive(data_type). operation: sync (a run of the job). retry_count of max_retries. context: the run and the page of the failure. Entries that ended are kept for seven days.';
COMMENT ON FUNCTION sluice.get_retry_queue(text) IS 'The rows of sync_retry_queue, the most urgent first. status: pending, processing, completed or dead (NULL: all). Errors: 22023 unknown status.';
COMMENT ON FUNCTION sluice.get_connection_health(text) IS 'The rows of sync_connection_health. data_type: one job only. Errors: 42704 unknown job.';
COMMENT ON FUNCTION sluice.process_sync_retries(integer) IS 'Makes up to p_max due retries runnable, the most urgent first, and returns what it took: entry, job, kind of work, number of the retry, run. What pg_cron calls every two minutes; calling it twice does nothing twice. Errors: 55000 not preloaded, 25006 on a standby.';
COMMENT ON FUNCTION sluice.retry_now(text) IS 'Runs the waiting retry of a job now. Errors: 42704 unknown job, 55000 no retry waits, or the job is paused or disabled.';
COMMENT ON FUNCTION sluice.redrive(text) IS 'Puts the newest dead letter of a job back into the queue, with its attempts counted anew, to run at once; returns how many (0 where a retry waits or runs already). Errors: 42704 unknown job, 55000 the job is paused or disabled.';
COMMENT ON FUNCTION sluice.clear_queue(text) IS 'Drops the waiting retries of a job (NULL: of all that the caller may operate); the schedule goes on. Returns how many. Errors: 42704 unknown job.';
COMMENT ON FUNCTION sluice.cleanup() IS 'Forgets retries that ended more than seven days ago; returns how many. What pg_cron calls daily; the scheduler does it too.';
COMMENT ON FUNCTION sluice.install_cron_jobs() IS 'Makes the jobs process-sync-retries (every two minutes) and sluice-cleanup (daily) in pg_cron, or renews them. One row a job; where pg_cron is in another database, installed is false and statement is what to run there.';
COMMENT ON FUNCTION sluice.remove_cron_jobs() IS 'Removes the caller''s jobs process-sync-retries and sluice-cleanup from pg_cron. One row a job; where pg_cron is in another database, statement is what to run there.';
COMMENT ON FUNCTION sluice.is_recoverable_error(text) IS 'Whether an error of which only the text is known may pass by itself. Not: texts (any case) with empty ... data, invalid ... credentials, schema ... error, unauthorized, malformed ... data. Else yes: network, timeout, rate limit, a 5xx number, connection, dns, ssl, gateway timeout. For callers that have nothing else; pg_sluice decides by the structure of an error.';
COMMENT ON FUNCTION sluice.ingest(text, jsonb) IS 'Queues a payload for the job and returns its id; a worker writes it after the commit, in order, as an upsert by key. payload: what the job''s records setting selects an array in, an array of records, or one record. Errors: 42704 unknown job, 42501 it belongs to another role, 22004 NULL, 22023 neither object nor array, 54000 larger than 16 MB, 53400 the queue is full.';
COMMENT ON FUNCTION sluice.retry_ingest(text, bigint) IS 'Queues payloads of a job again that were set aside (NULL: all of them), and has those that wait for their next try tried now; returns how many. Errors: 42704 unknown job.';
COMMENT ON FUNCTION sluice.drop_ingest(text, bigint) IS 'Drops payloads of a job that were set aside (NULL: all of them); returns how many. Errors: 42704 unknown job.';
COMMENT ON FUNCTION sluice.get_sync_status(text) IS 'The scheduler in numbers and the jobs as sync_status shows them, as one jsonb: {"scheduler": {is_running, total_jobs, active, pending, failed}, "jobs": [...]}. job: one job only. Errors: 42704 unknown job.';
COMMENT ON FUNCTION sluice.arm() IS 'Lets the jobs of a restored, copied or upgraded database run here; returns how many were armed.';
COMMENT ON FUNCTION sluice.grant_access(text, text) IS 'Gives a role an access level: monitor (views), writer (own jobs), operator (anyone''s runs) or admin (everything). Errors: 42704 unknown role, 22023 unknown level.';
COMMENT ON FUNCTION sluice.revoke_access(text) IS 'Takes all access levels from a role. Errors: 42704 unknown role.';

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
