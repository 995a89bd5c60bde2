-- Rate budgets: what of them has to survive a crash, and how runs got on with the remote. The budgets themselves are in
-- shared memory.

CREATE TABLE sluice._rate (
    -- Of host and credential: see _budget().
    budget     bigint PRIMARY KEY,
    -- Nobody sends before that, because the remote asked for it.
    not_before timestamptz,
    breaker    text NOT NULL CHECK (breaker IN ('closed', 'open', 'half_open')),
    -- Since when it is open, or since the last probe; and after how many failures in a row.
    open_since timestamptz,
    failures   bigint NOT NULL,
    reason     text,
    changed_at timestamptz NOT NULL
);

-- The size of pages of a job that sets bounds for it: of the read in progress or the last one, and the smallest one that
-- failed lately.
CREATE TABLE sluice._page_size (
    job_id    bigint PRIMARY KEY REFERENCES sluice._job ON DELETE CASCADE,
    size      bigint NOT NULL,
    failed    bigint,
    failed_at timestamptz
);

SELECT pg_catalog.pg_extension_config_dump('sluice._page_size', '');

-- How the requests of a run went: what page size and concurrency can be judged by.
CREATE TABLE sluice._run_pace (
    run_id      bigint PRIMARY KEY REFERENCES sluice._run ON DELETE CASCADE,
    requests    bigint NOT NULL,
    retries     bigint NOT NULL,
    -- What half of the answers took at most, and what all but a twentieth did.
    p50_ms      double precision,
    p95_ms      double precision,
    page_size   bigint,
    -- Where concurrency had settled when the run ended.
    concurrency integer NOT NULL
);

-- A breaker opens or closes: told like what becomes of runs. A probe of an open one is no event.
CREATE FUNCTION sluice._breaker_told() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    shared record;
BEGIN
    -- An event has no room for more than some.
    SELECT jsonb_agg(s.srvname ORDER BY s.srvname) FILTER (WHERE s.place <= 20) AS names, count(*) AS count INTO shared
    FROM (SELECT x.srvname, row_number() OVER (ORDER BY x.srvname) AS place FROM pg_foreign_server AS x
          WHERE sluice._budget(x.oid) = NEW.budget) AS s;
    PERFORM sluice._queue_event(jsonb_build_object('event', 'breaker', 'status', CASE NEW.breaker WHEN 'closed' THEN 'closed' ELSE 'open' END,
        'failures', nullif(NEW.failures, 0),
        'connections', shared.names, 'connection_count', shared.count));
    PERFORM sluice._note_operation(CASE NEW.breaker WHEN 'closed' THEN 'breaker_closed' ELSE 'breaker_open' END, 'connection', s.srvname, NULL, NULL,
                                   jsonb_strip_nulls(jsonb_build_object('failures', nullif(NEW.failures, 0))))
    FROM pg_foreign_server AS s WHERE sluice._budget(s.oid) = NEW.budget;
    RETURN NULL;
END
$$;
CREATE TRIGGER _told AFTER INSERT ON sluice._rate FOR EACH ROW WHEN (NEW.breaker <> 'closed')
EXECUTE FUNCTION sluice._breaker_told();
CREATE TRIGGER _told_of_change AFTER UPDATE OF breaker ON sluice._rate FOR EACH ROW
WHEN ((OLD.breaker = 'closed') IS DISTINCT FROM (NEW.breaker = 'closed'))
EXECUTE FUNCTION sluice._breaker_told();

-- Identifies the host of a connection and what it proves itself with, never the secret itself: equal for connections that
-- share a budget. NULL: none of ours. Those who ask from outside ask _budget_seen().
CREATE FUNCTION sluice._budget(server oid) RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
SELECT ('x' || left(encode(sha256(convert_to(pg_catalog.concat_ws(E'\n',
           sluice._origin(s.srvoptions),
           coalesce(sluice._option(s.srvoptions, 'auth'), 'none'),
           sluice._option(s.srvoptions, 'username'),
           sluice._option(s.srvoptions, 'client_id'),
           sluice._option(s.srvoptions, 'client_cert'),
           coalesce(x.id::text, sluice._option(s.srvoptions, 'secret'), sluice._option(s.srvoptions, 'client_secret'))),
       'UTF8')), 'hex'), 16))::bit(64)::bigint
FROM pg_foreign_server AS s
JOIN pg_foreign_data_wrapper AS w ON w.oid OPERATOR(pg_catalog.=) s.srvfdw AND w.fdwname OPERATOR(pg_catalog.=) 'pg_sluice'
LEFT JOIN LATERAL (
    SELECT c.id FROM sluice._secret AS c
    WHERE c.name OPERATOR(pg_catalog.=) coalesce(sluice._option(s.srvoptions, 'secret'), sluice._option(s.srvoptions, 'client_secret'))
      AND (sluice._role_now(c.owner_oid, c.owner_name, c.armed_in) OPERATOR(pg_catalog.=) s.srvowner
           OR EXISTS (SELECT FROM sluice._secret_grant AS g
                      WHERE g.secret_id OPERATOR(pg_catalog.=) c.id AND pg_has_role(s.srvowner, sluice._role_now(g.role_oid, g.role_name, g.armed_in), 'USAGE')))
    ORDER BY c.owner_oid OPERATOR(pg_catalog.=) s.srvowner DESC LIMIT 1
) AS x ON true
WHERE s.oid OPERATOR(pg_catalog.=) server
$$;
