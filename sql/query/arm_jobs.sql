-- Objects keep their names over a restore, not their oids. A job of which one is not here stays as it is: what has its old
-- oid now is something else. What the page store knew is not dumped, so the next read begins anew: it finds out again which
-- rows are the job's own before it removes any.
WITH stale AS (
    SELECT j.id, r.oid AS owner_oid, s.oid AS server_oid, c.oid AS target_oid
    FROM sluice._job AS j
    JOIN pg_catalog.pg_roles AS r ON r.rolname = j.owner_name
    JOIN pg_catalog.pg_foreign_server AS s ON s.srvname = j.server_name
    JOIN pg_catalog.pg_namespace AS n ON n.nspname = j.target_schema
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = j.target_table
    WHERE (j.armed_system, j.armed_database) IS DISTINCT FROM ($1, $2)
), armed AS (
    UPDATE sluice._job AS j
    SET armed_system = $1, armed_database = $2, updated_at = now(),
        owner_oid = s.owner_oid, server_oid = s.server_oid, target_oid = s.target_oid
    FROM stale AS s WHERE s.id = j.id
    RETURNING j.id, j.run_every
), state AS (
    UPDATE sluice._job_state AS t
    SET reading = false, complete = false, published_generation = NULL, published_run = NULL,
        whole_generation = NULL, whole_version = NULL, whole_at = NULL, skip_valid = false,
        next_run_at = CASE WHEN a.run_every IS NOT NULL THEN now() END, updated_at = now()
    FROM armed AS a WHERE a.id = t.job_id
)
SELECT count(*) FROM armed
