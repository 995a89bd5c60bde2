-- They are not dumped, but go with a copy and with an upgrade.
WITH stale AS (
    DELETE FROM sluice._connection_pause AS x WHERE x.armed_in <> sluice._here() RETURNING x.*
)
INSERT INTO sluice._connection_pause (server_oid, server_name, reason, paused_by, paused_at, until)
SELECT s.oid, x.server_name, x.reason, x.paused_by, x.paused_at, x.until
FROM stale AS x JOIN pg_catalog.pg_foreign_server AS s ON s.srvname = x.server_name
ON CONFLICT DO NOTHING
