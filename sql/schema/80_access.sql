-- Who may do what: plain grants, given by level. Nothing is granted to PUBLIC but USAGE of nothing.

CREATE TABLE sluice._access (
    level text NOT NULL CHECK (level IN ('monitor', 'writer', 'operator', 'admin')),
    kind  text NOT NULL CHECK (kind IN ('function', 'view', 'rows')),
    name  text NOT NULL,
    PRIMARY KEY (level, kind, name)
);

-- Views that hold nobody's payload, and what they call.
INSERT INTO sluice._access (level, kind, name)
SELECT l.level, 'view', v.name
FROM unnest(ARRAY['monitor', 'writer', 'operator', 'admin']) AS l (level),
     unnest(ARRAY['sync_jobs', 'sync_runs', 'sync_held', 'sync_ingest', 'sync_parents', 'sync_progress', 'sync_status', 'sync_connection_health',
                  'sync_connections', 'sync_metadata', 'sync_undo', 'sync_snapshots', 'sync_drift', 'sync_secrets', 'sync_retry_queue',
                  'sync_rejects', 'sync_allowed_origins', 'sync_audit_log', 'sync_metrics', 'sync_figures',
                  'sync_failure_logs', 'error_rules', 'sync_rate_limits']) AS v (name);

INSERT INTO sluice._access (level, kind, name)
SELECT l.level, 'function', f.name
FROM unnest(ARRAY['monitor', 'writer', 'operator', 'admin']) AS l (level),
     unnest(ARRAY['get_sync_status', 'get_retry_queue', 'get_connection_health', 'is_recoverable_error', '_workers',
                  '_waits_for_worker', '_launcher_is_running', '_arm_file_fault', '_arm_file_hint', '_origin', '_option', '_may_quote', '_told', '_hinted',
                  '_snapshot_obstacle', '_column_types', '_is_widening', 'get_sync_metrics', 'get_sync_system_health', '_worker_limit',
                  '_detailed', '_class_meaning', 'explain_error', '_budget_seen', '_rate_limit', '_here', '_role_now']) AS f (name);

INSERT INTO sluice._access (level, kind, name)
SELECT l.level, 'function', f.name
FROM unnest(ARRAY['writer', 'admin']) AS l (level),
     unnest(ARRAY['create_job', 'alter_job', 'drop_job', 'pause_job', 'resume_job', 'start_sync', 'sync', 'stop_sync',
                  'force_sync_all', 'retry_now', 'redrive', 'clear_queue', 'approve', 'discard', 'rollback_to',
                  'preview_rollback', 'replay', 'replay_rejects', 'create_snapshot', 'restore_snapshot', 'drop_snapshot',
                  'test_connection', 'ingest', 'retry_ingest', 'drop_ingest', 'create_connection', 'drop_connection', 'set_secret', 'set_secret_source',
                  'drop_secret', 'grant_secret', 'begin_oauth', 'finish_oauth',
                  'repair_sync', 'optimize_sync', 'pause_connection', 'resume_connection', 'discover', 'preview', '_preview', 'plan_from_openapi', '_plan_from_openapi',
                  '_writer_level']) AS f (name);

INSERT INTO sluice._access (level, kind, name)
SELECT l.level, 'function', f.name
FROM unnest(ARRAY['operator', 'admin']) AS l (level),
     unnest(ARRAY['start_sync', 'sync', 'stop_sync', 'force_sync_all', 'pause_job', 'resume_job', 'approve', 'discard',
                  'rollback_to', 'preview_rollback', 'create_snapshot', 'restore_snapshot', 'replay_rejects', 'retry_now',
                  'repair_sync', 'optimize_sync', 'redrive', 'clear_queue', 'process_sync_retries', 'cleanup', 'install_cron_jobs', 'remove_cron_jobs',
                  '_cron_jobs', '_cron_is_here', 'retry_ingest', 'drop_ingest', 'pause_connection', 'resume_connection',
                  '_operator_level']) AS f (name)
ON CONFLICT DO NOTHING;

INSERT INTO sluice._access (level, kind, name) VALUES
    ('monitor', 'function', '_monitor_level'),
    ('admin', 'function', '_admin_level'),
    ('admin', 'function', 'update_connection_health_status'),
    ('admin', 'function', 'forget_connection_health_status'),
    ('admin', 'function', 'grant_access'),
    ('admin', 'function', 'revoke_access'),
    ('admin', 'function', 'set_error_rule'),
    ('admin', 'function', 'drop_error_rule'),
    ('admin', 'rows', 'error_rules'),
    ('admin', 'function', 'allow_origin'),
    ('admin', 'function', 'revoke_origin'),
    ('admin', 'function', 'rotate_key'),
    ('admin', 'function', 'forget_secrets'),
    ('admin', 'function', 'arm');

INSERT INTO sluice._access (level, kind, name)
SELECT l.level, 'view', 'sync_event_rules' FROM unnest(ARRAY['monitor', 'operator', 'admin']) AS l (level);
INSERT INTO sluice._access (level, kind, name) VALUES
    ('admin', 'function', 'on_event'),
    ('admin', 'function', 'drop_event_rule');

-- What self_test asks.
INSERT INTO sluice._access (level, kind, name)
SELECT l.level, 'function', f.name
FROM unnest(ARRAY['monitor', 'writer', 'operator', 'admin']) AS l (level),
     unnest(ARRAY['self_test', '_is_preloaded', '_serves_database', '_key_fault', '_key_hint', '_is_processed_by_cron',
                  '_network_policy']) AS f (name);

-- One statement for each object of a level.
CREATE FUNCTION sluice._access_statements(verb text, preposition text, role text, level text) RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
SELECT format('%s SELECT ON sluice.%I %s %I', verb, a.name, preposition, role)
FROM sluice._access AS a WHERE a.level = _access_statements.level AND a.kind = 'view'
UNION ALL
SELECT format('%s INSERT, UPDATE, DELETE ON sluice.%I %s %I', verb, a.name, preposition, role)
FROM sluice._access AS a WHERE a.level = _access_statements.level AND a.kind = 'rows'
UNION ALL
SELECT format('%s EXECUTE ON %s %s %s %I', verb, CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
              p.oid::regprocedure, preposition, role)
FROM sluice._access AS a
JOIN pg_proc AS p ON p.proname = a.name AND p.pronamespace = 'sluice'::regnamespace
WHERE a.level = _access_statements.level AND a.kind = 'function'
$$;

-- Checks a role's name and a level; what grant_access and revoke_access have in common.
CREATE FUNCTION sluice._check_access(role text, level text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF level IS NULL OR level NOT IN ('monitor', 'writer', 'operator', 'admin') THEN
        RAISE EXCEPTION 'unknown access level "%"', level USING
            ERRCODE = 'invalid_parameter_value',
            DETAIL = 'The levels are monitor, writer, operator and admin.',
            HINT = 'For example: SELECT sluice.grant_access(''app'', ''writer'');';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = role) THEN
        RAISE EXCEPTION 'role "%" does not exist', role USING
            ERRCODE = 'undefined_object',
            DETAIL = 'Access is given to roles of the cluster.',
            HINT = 'SELECT rolname FROM pg_roles shows them.';
    END IF;
END
$$;

CREATE FUNCTION sluice.grant_access(role text, level text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    statement text;
BEGIN
    PERFORM sluice._check_access(role, level);
    EXECUTE format('GRANT USAGE ON SCHEMA sluice TO %I', role);
    FOR statement IN SELECT s FROM sluice._access_statements('GRANT', 'TO', role, level) AS s LOOP
        EXECUTE statement;
    END LOOP;
    IF level = 'admin' THEN
        EXECUTE format('GRANT USAGE ON FOREIGN DATA WRAPPER pg_sluice TO %I', role);
    END IF;
    PERFORM sluice._note_operation('grant_access', 'role', role, after => to_jsonb(level));
END
$$;

CREATE FUNCTION sluice.revoke_access(role text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    statement text;
BEGIN
    PERFORM sluice._check_access(role, 'monitor');
    FOR statement IN
        SELECT DISTINCT s
        FROM unnest(ARRAY['monitor', 'writer', 'operator', 'admin']) AS l,
             LATERAL sluice._access_statements('REVOKE', 'FROM', role, l) AS s
    LOOP
        EXECUTE statement;
    END LOOP;
    EXECUTE format('REVOKE USAGE ON FOREIGN DATA WRAPPER pg_sluice FROM %I', role);
    EXECUTE format('REVOKE USAGE ON SCHEMA sluice FROM %I', role);
    PERFORM sluice._note_operation('revoke_access', 'role', role);
END
$$;
