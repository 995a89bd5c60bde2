-- The reference as Markdown, one line a row.
\set ON_ERROR_STOP on
SELECT E'# Reference\n\nWritten by scripts/reference.sh from the comments in the catalog; `\\df+ sluice.*` and `\\d+ sluice.sync_status` show the same.\nWhat the settings of a job mean is in [guide/first-sync.md](guide/first-sync.md), every error in [errors.md](errors.md).\n\n## Connections\n';
SELECT obj_description(oid, 'pg_foreign_data_wrapper') FROM pg_foreign_data_wrapper WHERE fdwname = 'pg_sluice';
SELECT E'\n## Functions and procedures\n';
SELECT format(E'### %s\n\n`%ssluice.%s(%s)%s`\n\n%s\n', p.proname, CASE p.prokind WHEN 'p' THEN 'CALL ' ELSE '' END, p.proname,
              regexp_replace(pg_get_function_arguments(p.oid), '(IN |::[a-z\[\]]+)', '', 'g'),
              CASE WHEN p.prokind = 'f' THEN ' → ' || pg_get_function_result(p.oid) ELSE '' END,
              obj_description(p.oid, 'pg_proc'))
FROM pg_proc AS p WHERE p.pronamespace = 'sluice'::regnamespace AND p.proname NOT LIKE '\_%' ORDER BY p.proname COLLATE "C";
SELECT E'## Views\n';
SELECT format(E'### %s\n\n%s\n\n| column | type |\n|---|---|\n%s\n', c.relname, obj_description(c.oid, 'pg_class'),
              (SELECT string_agg(format('| %s | %s |', a.attname, format_type(a.atttypid, a.atttypmod)), E'\n' ORDER BY a.attnum)
               FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0))
FROM pg_class AS c WHERE c.relnamespace = 'sluice'::regnamespace AND c.relkind = 'v' AND c.relname NOT LIKE '\_%' ORDER BY c.relname COLLATE "C";
SELECT E'## Settings\n\nIn postgresql.conf or by ALTER SYSTEM; a reload is enough where nothing else is said.\n\n| setting | default | meaning |\n|---|---|---|';
SELECT format('| %s | %s | %s%s%s |', name, coalesce(nullif(boot_val, '') || coalesce(' ' || unit, ''), 'none'), short_desc, coalesce(' ' || nullif(extra_desc, ''), ''),
              CASE context WHEN 'postmaster' THEN ' Takes a restart.' ELSE '' END)
FROM pg_settings WHERE name LIKE 'sluice.%' AND name NOT LIKE 'sluice.debug%' ORDER BY name;
