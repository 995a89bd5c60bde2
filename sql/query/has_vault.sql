SELECT EXISTS (
    SELECT FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_roles AS o ON o.oid = c.relowner
    JOIN pg_roles AS s ON s.oid = n.nspowner
    WHERE n.nspname = 'vault' AND c.relname = 'decrypted_secrets' AND c.relkind = 'v'
      AND (o.rolsuper AND s.rolsuper
           OR EXISTS (SELECT FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
                      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
                        AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'supabase_vault')))
