-- Whoever has connected a connection again in this database meant that one.
WITH here AS (
    SELECT pg_catalog.split_part(sluice._here(), '/', 1)::bigint AS system,
           pg_catalog.split_part(sluice._here(), '/', 2)::oid AS database
), stale AS (
    SELECT o.id, s.oid AS server_oid, r.oid AS owner_oid,
           pg_catalog.row_number() OVER (PARTITION BY s.oid ORDER BY o.updated_at DESC, o.id DESC) = 1
           AND NOT EXISTS (SELECT FROM sluice._oauth AS n
                           WHERE n.server_oid = s.oid AND n.armed_system = h.system AND n.armed_database = h.database) AS wanted
    FROM here AS h
    CROSS JOIN sluice._oauth AS o
    JOIN pg_catalog.pg_foreign_server AS s ON s.srvname = o.server_name
    LEFT JOIN pg_catalog.pg_roles AS r ON r.rolname = o.owner_name
    WHERE (o.armed_system, o.armed_database) IS DISTINCT FROM (h.system, h.database)
), unwanted AS (
    DELETE FROM sluice._oauth AS o USING stale AS s WHERE s.id = o.id AND NOT s.wanted
)
UPDATE sluice._oauth AS o
-- Of an owner that is not here it belongs to nobody.
SET server_oid = s.server_oid, owner_oid = coalesce(s.owner_oid, 0), armed_system = h.system, armed_database = h.database
FROM stale AS s, here AS h WHERE s.id = o.id AND s.wanted
