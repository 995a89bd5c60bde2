SELECT x.entry
FROM pg_catalog.pg_db_role_setting AS s CROSS JOIN LATERAL unnest(s.setconfig) WITH ORDINALITY AS x (entry, place)
WHERE s.setrole = $1
  AND s.setdatabase IN (0, (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()))
ORDER BY s.setdatabase, x.place
