-- Failures and the rules for them, as people read and give them.

-- What a remote said may quote the data: in full for roles with the rights of the job's owner, as in sync_runs.
CREATE VIEW sluice.sync_failure_logs WITH (security_barrier) AS
SELECT f.id,
       j.name AS data_type,
       f.run_id,
       f.failed_at,
       f.page,
       f.attempt,
       f.error_class,
       f.sqlstate,
       f.http_status,
       sluice._told(f.error_message, f.sqlstate, f.error_class, j.own) AS error_message,
       sluice._detailed(f.error_detail, f.sqlstate, j.own) AS error_detail,
       CASE WHEN j.own THEN f.excerpt END AS excerpt,
       CASE WHEN f.rule_id IS NOT NULL THEN f.error_hint ELSE sluice._hinted(f.error_hint, f.sqlstate, j.own) END AS hint,
       f.next_step,
       f.next_at,
       CASE
           WHEN f.next_step = 'ignored' THEN 'nobody'
           WHEN f.next_step IN ('retry_in_run', 'queued', 'read_restarted') THEN 'wait'
           WHEN f.next_step = 'connection_paused' AND f.next_at IS NULL THEN 'you: resume_connection()'
           WHEN f.next_step = 'connection_paused' THEN 'wait'
           WHEN f.error_class IN ('network', 'timeout', 'server', 'rate_limit', 'empty') THEN 'remote'
           WHEN f.error_class IN ('database', 'resource', 'cancelled') AND f.next_step <> 'stopped' THEN 'wait'
           ELSE 'you: see hint'
       END AS action,
       f.rule_name AS rule,
       f.default_class,
       f.basis,
       f.rule_match,
       f.rule_action
FROM sluice._failure AS f
JOIN sluice._visible_job AS j ON j.id = f.job_id;

-- One failure in sentences.
CREATE FUNCTION sluice.explain_error(id bigint) RETURNS TABLE (aspect text, explanation text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    f sluice.sync_failure_logs;
BEGIN
    IF explain_error.id IS NULL THEN
        RAISE EXCEPTION 'argument "id" must not be null' USING
            ERRCODE = 'null_value_not_allowed',
            HINT = 'Give a value, or leave the argument out where it has a default.';
    END IF;
    SELECT l.* INTO f FROM sluice.sync_failure_logs AS l WHERE l.id = explain_error.id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'failure % does not exist', explain_error.id USING
            ERRCODE = 'undefined_object',
            HINT = 'SELECT id, data_type, error_message FROM sluice.sync_failure_logs shows those that you may see.';
    END IF;
    RETURN QUERY SELECT 'failure', f.error_message;
    RETURN QUERY SELECT 'where', concat_ws(', ', format('job %s', f.data_type), format('run %s', f.run_id),
                                           'page ' || f.page, 'request ' || f.attempt || ' for it');
    RETURN QUERY SELECT 'class', format('%s, SQLSTATE %s', f.error_class, f.sqlstate);
    RETURN QUERY SELECT 'decided by', CASE
        WHEN f.basis = 'a good status' THEN format('rule "%s" (%s): action %s; without it the answer would be a page',
                                                   f.rule, f.rule_match, f.rule_action)
        WHEN f.rule IS NOT NULL THEN format('rule "%s" (%s): action %s; without it the class would be %s, by %s',
                                            f.rule, f.rule_match, f.rule_action, f.default_class, f.basis)
        ELSE format('the defaults, by %s; no rule held', f.basis) END;
    RETURN QUERY SELECT 'what it means', sluice._class_meaning(f.error_class);
    RETURN QUERY SELECT 'what came next', CASE f.next_step
        WHEN 'retry_in_run' THEN 'the request was sent again in the same run'
        WHEN 'queued' THEN 'the run waits in the retry queue'
        WHEN 'scheduled' THEN 'the run ended; the next one comes on the schedule'
        WHEN 'read_restarted' THEN 'the read began again at its first page'
        WHEN 'ignored' THEN 'the answer was taken for the end of the collection; nothing is removed because of it'
        WHEN 'connection_paused' THEN 'the run ended, and the jobs of the connection wait'
        ELSE 'the run ended; nothing happens by itself' END
        || coalesce(', ' || CASE WHEN f.next_step = 'connection_paused' THEN 'until' ELSE 'at' END || ' '
                    || date_trunc('second', f.next_at), '');
    RETURN QUERY SELECT 'who must act', f.action;
    RETURN QUERY SELECT v.* FROM (VALUES ('detail', f.error_detail), ('hint', f.hint)) AS v WHERE v.column2 IS NOT NULL;
END
$$;

CREATE FUNCTION sluice._class_meaning(error_class text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE error_class
    WHEN 'network' THEN 'the remote could not be reached, or the transfer broke; it may pass'
    WHEN 'timeout' THEN 'a time limit passed; it may pass'
    WHEN 'rate_limit' THEN 'the remote asks to slow down; waiting for it is no failed attempt'
    WHEN 'server' THEN 'the remote failed by its own account; it may pass'
    WHEN 'auth' THEN 'the credential is missing, wrong or not sufficient; trying again does not help'
    WHEN 'config' THEN 'the definition cannot work as it stands; trying again does not help'
    WHEN 'data' THEN 'what came is not what records or rows can be made of'
    WHEN 'schema' THEN 'the table and the job do not fit together; trying again does not help'
    WHEN 'empty' THEN 'an empty or shrunken answer was kept back; the last good data stays'
    WHEN 'pagination_loop' THEN 'the same page came twice in one read; trying again does not help'
    WHEN 'conflict' THEN 'local and remote changes collide'
    WHEN 'database' THEN 'PostgreSQL refused for now; it may pass'
    WHEN 'resource' THEN 'the server ran short of something; it may pass'
    WHEN 'cancelled' THEN 'a person or a shutdown ended the work'
    ELSE 'a bug in pg_sluice' END;

-- The rules that concern the current user: those of all connections, of ones that the user may use, and of jobs that the
-- user sees.
CREATE VIEW sluice.error_rules WITH (security_barrier) AS
SELECT r.id,
       r.name,
       j.name AS job,
       coalesce(s.srvname::text, r.server_name) AS connection,
       r.priority,
       r.pattern AS match,
       r.error_class,
       r.action,
       r.hint,
       r.pause_for::text AS pause_for,
       r.set_by,
       r.set_at
FROM sluice._error_rule AS r
LEFT JOIN sluice._visible_job AS j ON j.id = r.job_id
LEFT JOIN pg_catalog.pg_foreign_server AS s ON s.oid = r.server_oid AND r.armed_in = sluice._here()
WHERE (r.job_id IS NULL OR j.id IS NOT NULL)
  AND (r.server_oid IS NULL OR s.oid IS NOT NULL AND pg_catalog.has_server_privilege(s.oid, 'USAGE')
       OR pg_catalog.pg_has_role('pg_monitor', 'USAGE')
       OR pg_catalog.has_function_privilege('sluice._monitor_level()', 'EXECUTE')
       OR pg_catalog.has_function_privilege('sluice._operator_level()', 'EXECUTE'))
   OR pg_catalog.has_function_privilege('sluice._admin_level()', 'EXECUTE');

-- Rows of the view are given by INSERT, UPDATE and DELETE, too: the functions check them.
CREATE FUNCTION sluice._change_error_rule() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' OR TG_OP = 'UPDATE' AND OLD.name IS DISTINCT FROM NEW.name THEN
        PERFORM sluice.drop_error_rule(OLD.name);
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    NEW.id := sluice.set_error_rule(NEW.name, NEW.match, NEW.action, NEW.error_class, NEW.hint, NEW.job, NEW.connection,
                                    coalesce(NEW.priority, 100), NEW.pause_for);
    RETURN NEW;
END
$$;
CREATE TRIGGER change_error_rule INSTEAD OF INSERT OR UPDATE OR DELETE ON sluice.error_rules
FOR EACH ROW EXECUTE FUNCTION sluice._change_error_rule();
