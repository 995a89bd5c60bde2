-- The rate budgets, as people see them: those of connections that they may use.

CREATE VIEW sluice.sync_rate_limits WITH (security_barrier) AS
WITH connection AS MATERIALIZED (
    SELECT sluice._budget_seen(s.oid) AS budget, s.srvname::text AS name, sluice._origin(s.srvoptions) AS origin,
           s.oid
    FROM pg_catalog.pg_foreign_server AS s
    JOIN pg_catalog.pg_foreign_data_wrapper AS w ON w.oid = s.srvfdw AND w.fdwname = 'pg_sluice'
    WHERE pg_catalog.has_server_privilege(s.oid, 'USAGE')
       OR pg_catalog.pg_has_role('pg_monitor', 'USAGE')
       OR pg_catalog.has_function_privilege('sluice._monitor_level()', 'EXECUTE')
       OR pg_catalog.has_function_privilege('sluice._operator_level()', 'EXECUTE')
), budget AS (
    SELECT c.budget, min(c.origin) AS origin, pg_catalog.array_agg(c.name ORDER BY c.name) AS connections,
           pg_catalog.array_agg(c.oid) AS servers
    FROM connection AS c GROUP BY c.budget
)
SELECT b.origin,
       b.connections,
       l.requests_per_second,
       l.declared_limit,
       l.tokens_left,
       coalesce(l.waiters, 0) + coalesce(r.waiting, 0) AS waiters,
       coalesce(l.in_flight, 0) AS in_flight,
       l.concurrency,
       greatest(l.not_before, k.not_before) AS not_before,
       coalesce(l.breaker, k.breaker, 'closed') AS breaker,
       coalesce(l.failures, k.failures, 0) AS failures,
       coalesce(l.changed_at, k.changed_at) AS last_change_at,
       coalesce(l.reason, k.reason) AS reason
FROM budget AS b
LEFT JOIN LATERAL sluice._rate_limit(b.budget) AS l ON true
LEFT JOIN sluice._rate AS k ON k.budget = b.budget
LEFT JOIN LATERAL (
    SELECT count(*) AS waiting
    FROM sluice._run AS x JOIN sluice._job AS j ON j.id = x.job_id
    WHERE j.server_oid = ANY (b.servers) AND x.status = 'scheduled' AND x.rate_wait IS NOT NULL
) AS r ON true;
