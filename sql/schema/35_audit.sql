-- The audit log: who changed what, from where. Rows are only added.
--
-- One way in: a table of definitions has the trigger `_audited`, so that whoever changes a row, by whatever function, is
-- noted; an operation that is no row of such a table calls _note_operation. What runs ask for is noted with the runs.

CREATE TABLE sluice._audit (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    happened_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Who logged in, and as whom it acted (SET ROLE).
    session_role     text NOT NULL DEFAULT session_user,
    acting_role      text NOT NULL DEFAULT CASE current_setting('role') WHEN 'none' THEN session_user ELSE current_setting('role') END,
    client_address   inet DEFAULT inet_client_addr(),
    application_name text NOT NULL DEFAULT current_setting('application_name'),
    action           text NOT NULL,
    object_type      text NOT NULL,
    object           text NOT NULL,
    -- Of a connection, so that one that was renamed is still the same.
    object_oid       oid,
    -- Of a job: its name may be another job's later.
    job_id           bigint,
    run_id           bigint,
    -- What was and what is, redacted; of a change only what differs.
    before           jsonb,
    after            jsonb
);
CREATE INDEX _audit_by_age ON sluice._audit (happened_at);
CREATE INDEX _audit_of_connection ON sluice._audit (object_oid, id DESC) WHERE object_oid IS NOT NULL;

-- Rows leave only by age: `sluice.keep_audit`.
CREATE FUNCTION sluice._audit_is_append_only() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        -- By what has passed, as it is pruned: a day before this one may have had 23 hours.
        IF clock_timestamp() - OLD.happened_at > coalesce(nullif(current_setting('sluice.keep_audit', true), ''), '365d')::interval THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit log cannot be changed' USING
        ERRCODE = 'insufficient_privilege',
        DETAIL = 'Rows are added to it, and forgotten when they are older than sluice.keep_audit.',
        HINT = 'Set sluice.keep_audit to keep them for a shorter or longer time; sluice.cleanup() forgets the older ones.';
END
$$;
CREATE TRIGGER _append_only BEFORE UPDATE OR DELETE ON sluice._audit
FOR EACH ROW EXECUTE FUNCTION sluice._audit_is_append_only();
CREATE TRIGGER _not_truncated BEFORE TRUNCATE ON sluice._audit
FOR EACH STATEMENT EXECUTE FUNCTION sluice._audit_is_append_only();

-- Adds a row, and a line to the server's log, which keeps it where the transaction is rolled back.
CREATE FUNCTION sluice._note_operation(
    action text, object_type text, object text, run_id bigint DEFAULT NULL, before jsonb DEFAULT NULL, after jsonb DEFAULT NULL,
    object_oid oid DEFAULT NULL, job_id bigint DEFAULT NULL) RETURNS void
-- A line of level LOG brings the statement along, which may hold a secret (log_min_error_statement ranks LOG as an error).
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET log_min_error_statement = panic AS $$
BEGIN
    INSERT INTO sluice._audit AS a (action, object_type, object, run_id, before, after, object_oid, job_id)
    VALUES (action, object_type, object, run_id, before, after, object_oid,
            CASE WHEN object_type = 'job' THEN coalesce(job_id, (SELECT j.id FROM sluice._job AS j WHERE j.name = object)) END);
    RAISE LOG 'pg_sluice audit: %: % "%"', action, object_type, object;
END
$$;

-- What a setting sends to the remote may hold a credential: its names are kept, not its values.
CREATE FUNCTION sluice._redacted(settings jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
SELECT coalesce(jsonb_object_agg(s.key, CASE
    WHEN s.key IN ('headers', 'params') AND jsonb_typeof(s.value) = 'object'
        THEN (SELECT coalesce(jsonb_object_agg(n.name, '***'), '{}') FROM jsonb_object_keys(s.value) AS n (name))
    WHEN s.key IN ('headers', 'params', 'body') THEN '"***"'
    ELSE s.value END), '{}')
FROM jsonb_each(CASE jsonb_typeof(settings) WHEN 'object' THEN settings END) AS s
$$;

-- The trigger of tables of definitions: kind of object, the column with its name, and the columns that are not told.
CREATE FUNCTION sluice._audit_row() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    secret  text[] := '{id,created_at,updated_at}' || string_to_array(coalesce(TG_ARGV[2], ''), ',');
    was     jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    will    jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    named   text := coalesce(will, was) ->> TG_ARGV[1];
    id      bigint := CASE WHEN TG_ARGV[0] = 'job' THEN (coalesce(will, was) ->> 'id')::bigint END;
BEGIN
    was := was - secret;
    will := will - secret;
    IF was ? 'settings' THEN was := was || jsonb_build_object('settings', sluice._redacted(was -> 'settings')); END IF;
    IF will ? 'settings' THEN will := will || jsonb_build_object('settings', sluice._redacted(will -> 'settings')); END IF;
    IF TG_OP = 'UPDATE' THEN
        SELECT coalesce(jsonb_object_agg(k.key, was -> k.key), '{}'), coalesce(jsonb_object_agg(k.key, will -> k.key), '{}')
        INTO was, will
        FROM jsonb_object_keys(was) AS k (key) WHERE was -> k.key IS DISTINCT FROM will -> k.key;
        -- Where only a value was changed that is not told, as that of a param, the change is noted all the same.
        IF will = '{}' AND to_jsonb(OLD) - 'updated_at' = to_jsonb(NEW) - 'updated_at' THEN RETURN NULL; END IF;
    END IF;
    PERFORM sluice._note_operation(CASE TG_OP WHEN 'INSERT' THEN 'create' WHEN 'UPDATE' THEN 'alter' ELSE 'drop' END,
                                   TG_ARGV[0], named, NULL, was, will, NULL, id);
    RETURN NULL;
END
$$;
CREATE TRIGGER _audited AFTER INSERT OR UPDATE OR DELETE ON sluice._job
FOR EACH ROW EXECUTE FUNCTION sluice._audit_row('job', 'name', 'owner_oid,server_oid,target_oid');
CREATE TRIGGER _audited AFTER INSERT OR UPDATE OR DELETE ON sluice._secret
FOR EACH ROW EXECUTE FUNCTION sluice._audit_row('secret', 'name', 'owner_oid,sealed,armed_in');
CREATE TRIGGER _audited AFTER INSERT OR UPDATE OR DELETE ON sluice._secret_grant
FOR EACH ROW EXECUTE FUNCTION sluice._audit_row('secret grant', 'role_name', 'role_oid,granted_at,armed_in');
CREATE TRIGGER _audited AFTER INSERT OR UPDATE OR DELETE ON sluice._error_rule
FOR EACH ROW EXECUTE FUNCTION sluice._audit_row('error rule', 'name', 'server_oid,set_at,armed_in');

-- A connection as it is: its options hold no credential, the wrapper refuses those.
CREATE FUNCTION sluice._connection_as_it_is(server oid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
SELECT jsonb_build_object('name', s.srvname, 'owner', pg_get_userbyid(s.srvowner), 'options',
    (SELECT coalesce(jsonb_object_agg(o.option_name, o.option_value), '{}') FROM pg_options_to_table(s.srvoptions) AS o),
    -- Who may use it besides.
    'granted_to', (SELECT coalesce(jsonb_agg(DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END), '[]')
                   FROM aclexplode(s.srvacl) AS a WHERE a.grantee <> s.srvowner))
FROM pg_foreign_server AS s JOIN pg_foreign_data_wrapper AS w ON w.oid = s.srvfdw
WHERE s.oid = server AND w.fdwname = 'pg_sluice'
$$;

CREATE FUNCTION sluice._audit_connection() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    server record;
    former jsonb;
    present jsonb;
BEGIN
    FOR server IN SELECT DISTINCT c.objid, c.command_tag FROM pg_event_trigger_ddl_commands() AS c
                  WHERE c.classid = 'pg_foreign_server'::regclass AND c.objid IS NOT NULL LOOP
        present := sluice._connection_as_it_is(server.objid);
        CONTINUE WHEN present IS NULL;
        -- Oids come again: only what happened since it was made last is its own.
        SELECT a.after INTO former FROM sluice._audit AS a WHERE a.object_oid = server.objid ORDER BY a.id DESC LIMIT 1;
        PERFORM sluice._note_operation(CASE server.command_tag WHEN 'CREATE SERVER' THEN 'create' ELSE 'alter' END,
            'connection', present ->> 'name', NULL,
            CASE WHEN server.command_tag <> 'CREATE SERVER' THEN former END, present, server.objid);
    END LOOP;
END
$$;
CREATE EVENT TRIGGER sluice_connection_changed ON ddl_command_end WHEN TAG IN ('CREATE SERVER', 'ALTER SERVER')
EXECUTE FUNCTION sluice._audit_connection();

-- GRANT and REVOKE do not tell which server they were for.
CREATE FUNCTION sluice._audit_granted_connection() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_event_trigger_ddl_commands() AS c WHERE c.object_type = 'FOREIGN SERVER') THEN RETURN; END IF;
    PERFORM sluice._note_operation(lower(tg_tag), 'connection', s.srvname, NULL,
        jsonb_build_object('granted_to', l.after -> 'granted_to'), is_now.state, s.oid)
    FROM pg_foreign_server AS s
    JOIN pg_foreign_data_wrapper AS w ON w.oid = s.srvfdw AND w.fdwname = 'pg_sluice'
    CROSS JOIN LATERAL (SELECT sluice._connection_as_it_is(s.oid) AS state) AS is_now
    CROSS JOIN LATERAL (SELECT a.after FROM sluice._audit AS a WHERE a.object_oid = s.oid ORDER BY a.id DESC LIMIT 1) AS l
    WHERE l.after -> 'granted_to' IS DISTINCT FROM is_now.state -> 'granted_to';
END
$$;
CREATE EVENT TRIGGER sluice_connection_granted ON ddl_command_end WHEN TAG IN ('GRANT', 'REVOKE')
EXECUTE FUNCTION sluice._audit_granted_connection();

CREATE FUNCTION sluice._audit_dropped_connection() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- A server of another wrapper was never noted.
    PERFORM sluice._note_operation('drop', 'connection', d.object_name, NULL, l.after, NULL, d.objid)
    FROM pg_event_trigger_dropped_objects() AS d
    CROSS JOIN LATERAL (SELECT a.action, a.after FROM sluice._audit AS a WHERE a.object_oid = d.objid ORDER BY a.id DESC LIMIT 1) AS l
    WHERE d.classid = 'pg_foreign_server'::regclass AND l.action <> 'drop';
END
$$;
CREATE EVENT TRIGGER sluice_connection_dropped_audit ON sql_drop WHEN TAG IN ('DROP SERVER', 'DROP FOREIGN DATA WRAPPER', 'DROP OWNED')
EXECUTE FUNCTION sluice._audit_dropped_connection();

CREATE TRIGGER _audited AFTER DELETE ON sluice._snapshot
FOR EACH ROW EXECUTE FUNCTION sluice._audit_row('snapshot', 'label', 'job_id,made_by,columns,types,mapped,key,position');

COMMENT ON EVENT TRIGGER sluice_connection_changed IS 'Notes in the audit log what connections are made and changed.';
COMMENT ON EVENT TRIGGER sluice_connection_granted IS 'Notes in the audit log who may use which connection.';
COMMENT ON EVENT TRIGGER sluice_connection_dropped_audit IS 'Notes in the audit log what connections are dropped.';
