-- Event rules as people see them, and what the scheduler does with them.

CREATE VIEW sluice.sync_event_rules WITH (security_barrier) AS
SELECT a.name,
       a.events,
       j.name AS data_type,
       a.after_failures,
       CASE WHEN a.function_name IS NOT NULL THEN pg_catalog.format('%I.%I(jsonb)', a.function_schema, a.function_name) END AS function,
       a.function_owner,
       a.connection,
       a.path,
       a.time_limit,
       a.created_by,
       a.created_at,
       c.last_call_at,
       coalesce(c.waiting, 0) AS waiting,
       c.last_error
FROM sluice._alert AS a
LEFT JOIN sluice._job AS j ON j.id = a.job_id
LEFT JOIN LATERAL (
    SELECT max(x.updated_at) FILTER (WHERE x.status = 'completed') AS last_call_at,
           count(*) FILTER (WHERE x.status IN ('pending', 'processing')) AS waiting,
           (SELECT l.sqlstate FROM sluice._alert_call AS l WHERE l.alert_id = a.id AND l.status <> 'completed' AND l.sqlstate IS NOT NULL
            ORDER BY l.id DESC LIMIT 1) AS last_error
    FROM sluice._alert_call AS x WHERE x.alert_id = a.id
) AS c ON true
WHERE pg_catalog.pg_has_role('pg_monitor', 'USAGE')
   OR pg_catalog.has_function_privilege('sluice._monitor_level()', 'EXECUTE')
   OR pg_catalog.has_function_privilege('sluice._operator_level()', 'EXECUTE');

-- Queues a call for each rule and job whose health is not what the rule was told last; how many. One call a change.
CREATE FUNCTION sluice._raise_alerts(moment timestamptz) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    r      record;
    begun  text[];
    event  text;
    raised bigint := 0;
    made   bigint;
BEGIN
    FOR r IN
        SELECT a.id AS alert, a.name AS rule, a.events, j.id AS job, h.data_type, h.status, h.reason, h.action, h.last_success_time,
               h.consecutive_failures, h.consecutive_failures >= a.after_failures AS failing,
               coalesce(t.status, 'healthy') AS told, coalesce(t.failing, false) AS told_failing, coalesce(t.alerted, false) AS alerted
        FROM sluice._alert AS a
        JOIN sluice._visible_job AS j ON j.armed AND (a.job_id IS NULL OR a.job_id = j.id)
        JOIN sluice.sync_connection_health AS h ON h.data_type = j.name AND h.source = 'job' AND h.status <> 'unknown'
        LEFT JOIN sluice._alert_told AS t ON t.alert_id = a.id AND t.job_id = j.id
        WHERE (h.status, h.consecutive_failures >= a.after_failures) IS DISTINCT FROM (coalesce(t.status, 'healthy'), coalesce(t.failing, false))
        ORDER BY a.id, j.id
    LOOP
        -- Failures and bad health may begin at once; neither is told later.
        begun := array_remove(ARRAY[
            CASE WHEN r.status IN ('degraded', 'unhealthy') AND (r.told = 'healthy' OR r.told = 'degraded' AND r.status = 'unhealthy')
                 THEN 'degraded' END,
            CASE WHEN r.failing AND NOT r.told_failing THEN 'repeated_failure' END,
            CASE WHEN r.status = 'healthy' AND NOT r.failing AND (r.alerted OR r.events = '{recovered}') THEN 'recovered' END], NULL);
        begun := ARRAY(SELECT b.event FROM unnest(begun) AS b (event) WHERE b.event = ANY (r.events));
        FOREACH event IN ARRAY begun LOOP
            made := nextval('sluice._retry_id_seq');
            INSERT INTO sluice._alert_call AS c (id, alert_id, job_id, event, payload, next_retry_at)
            VALUES (made, r.alert, r.job, event, jsonb_build_object('id', made, 'event', event, 'rule', r.rule, 'data_type', r.data_type,
                'status', r.status, 'reason', r.reason, 'action', r.action, 'consecutive_failures', r.consecutive_failures,
                'last_success_time', r.last_success_time, 'database', current_database(),
                'at', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')), moment);
            PERFORM sluice._queue_event(jsonb_build_object('event', 'health', 'data_type', r.data_type, 'status', r.status));
            raised := raised + 1;
        END LOOP;
        INSERT INTO sluice._alert_told AS t (alert_id, job_id, status, failing, alerted)
        VALUES (r.alert, r.job, r.status, r.failing,
                NOT (r.status = 'healthy' AND NOT r.failing) AND (r.alerted OR begun <> '{}'))
        ON CONFLICT (alert_id, job_id) DO UPDATE SET status = excluded.status, failing = excluded.failing, alerted = excluded.alerted;
    END LOOP;
    RETURN raised;
END
$$;

COMMENT ON VIEW sluice.sync_event_rules IS 'One row an event rule: which events (repeated_failure, degraded, recovered) of which job (NULL: every job) call what: a function as its owner, or a POST over a connection. waiting: calls that are not made yet; last_error: the SQLSTATE of the last one that failed. The calls themselves are in sync_retry_queue as operation webhook.';
COMMENT ON FUNCTION sluice.on_event(text, text[], text, text, text, text, integer, interval) IS 'Makes an event rule, and returns its id. events: repeated_failure (after_failures failed runs in a row), degraded (health became degraded or unhealthy), recovered (it is healthy again). function: schema.name of a function (jsonb), called in a worker as its owner; or connection and path: a POST of the same JSON, where the connection''s methods allow POST. job: one job only. time_limit: how long a call may take. A call that fails is tried again after 5, 10 and 20 minutes. Errors: 22023 wrong argument, 42710 the name is taken, 42883 unknown function, 42501 missing rights, 42704 unknown connection or job.';
COMMENT ON FUNCTION sluice.drop_event_rule(text) IS 'Drops an event rule, and the calls that wait for it. Errors: 42704 unknown rule.';
