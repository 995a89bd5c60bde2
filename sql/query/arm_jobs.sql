-- Objects keep their names over a restore, not their oids. What the page store knew is not dumped, so the next read
-- begins anew: it finds out again which rows are the job's own before it removes any.
WITH stale AS (
    SELECT j.id,
           (SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = j.owner_name) AS owner_oid,
           (SELECT s.oid FROM pg_catalog.pg_foreign_server AS s WHERE s.srvname = j.server_name) AS server_oid,
           (SELECT c.oid FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
            WHERE n.nspname = j.target_schema AND c.relname = j.target_table) AS target_oid
    FROM sluice._job AS j
    WHERE (j.armed_system, j.armed_database) IS DISTINCT FROM ($1, $2)
), armed AS (
    UPDATE sluice._job AS j
    SET armed_system = $1, armed_database = $2, updated_at = now(),
        owner_oid = coalesce(s.owner_oid, j.owner_oid),
        server_oid = coalesce(s.server_oid, j.server_oid),
        target_oid = coalesce(s.target_oid, j.target_oid)
    FROM stale AS s WHERE s.id = j.id
    RETURNING j.id, j.run_every
), state AS (
    UPDATE sluice._job_state AS t
    SET reading = false, complete = false, published_generation = NULL, published_run = NULL,
        whole_generation = NULL, whole_version = NULL, whole_at = NULL, skip_valid = false,
        next_run_at = CASE WHEN a.run_every IS NOT NULL THEN now() END, updated_at = now()
    FROM armed AS a WHERE a.id = t.job_id
), rules AS (
    UPDATE sluice._error_rule AS x SET server_oid = s.oid
    FROM pg_catalog.pg_foreign_server AS s WHERE s.srvname = x.server_name AND s.oid <> x.server_oid
), origins AS (
    UPDATE sluice._allowed_origin AS o SET role_oid = r.oid
    FROM pg_catalog.pg_roles AS r WHERE r.rolname = o.role_name AND r.oid <> o.role_oid
), secrets AS (
    UPDATE sluice._secret AS x SET owner_oid = r.oid
    FROM pg_catalog.pg_roles AS r WHERE r.rolname = x.owner_name AND r.oid <> x.owner_oid
), connected_anew AS (
    -- Whoever has connected a connection again in this database meant that one.
    DELETE FROM sluice._oauth AS o
    WHERE (o.armed_system, o.armed_database) IS DISTINCT FROM ($1, $2)
      AND EXISTS (SELECT FROM pg_catalog.pg_foreign_server AS s JOIN sluice._oauth AS n ON n.server_oid = s.oid
                  WHERE s.srvname = o.server_name AND n.id <> o.id AND n.armed_system = $1 AND n.armed_database = $2)
    RETURNING o.id
), grants AS (
    UPDATE sluice._oauth AS o
    SET armed_system = $1, armed_database = $2,
        server_oid = coalesce((SELECT s.oid FROM pg_catalog.pg_foreign_server AS s WHERE s.srvname = o.server_name), o.server_oid),
        owner_oid = coalesce((SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = o.owner_name), o.owner_oid)
    WHERE (o.armed_system, o.armed_database) IS DISTINCT FROM ($1, $2) AND o.id NOT IN (SELECT c.id FROM connected_anew AS c)
)
SELECT count(*) FROM armed
