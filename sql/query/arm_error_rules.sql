-- Of a connection that is not here: it stays as it is, and is asked for none.
UPDATE sluice._error_rule AS x
SET server_oid = s.oid, armed_in = sluice._here()
FROM pg_catalog.pg_foreign_server AS s
WHERE x.armed_in <> sluice._here() AND s.srvname = x.server_name
