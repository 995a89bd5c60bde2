SELECT j.name,
       pg_catalog.concat_ws(', ',
           CASE WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname = j.owner_name)
                THEN pg_catalog.format('role %I', j.owner_name) END,
           CASE WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_foreign_server AS s WHERE s.srvname = j.server_name)
                THEN pg_catalog.format('connection %I', j.server_name) END,
           CASE WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                                 WHERE n.nspname = j.target_schema AND c.relname = j.target_table)
                THEN pg_catalog.format('table %I.%I', j.target_schema, j.target_table) END)
FROM sluice._job AS j
WHERE (j.armed_system || '/' || j.armed_database) IS DISTINCT FROM sluice._here()
ORDER BY j.id
