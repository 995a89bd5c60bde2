-- The function (text, bigint) of this name in the first of these schemas that has one: whether the role may call it, and
-- its owner where that is no superuser.
SELECT p.oid,
       pg_catalog.has_schema_privilege($3, n.oid, 'USAGE') AND pg_catalog.has_function_privilege($3, p.oid, 'EXECUTE'),
       CASE WHEN NOT a.rolsuper THEN a.rolname::text END
FROM pg_catalog.unnest($1) WITH ORDINALITY AS s (name, place)
JOIN pg_catalog.pg_namespace AS n ON n.nspname = s.name
JOIN pg_catalog.pg_proc AS p ON p.pronamespace = n.oid
JOIN pg_catalog.pg_roles AS a ON a.oid = p.proowner
WHERE p.proname = $2 AND p.prokind = 'f' AND NOT p.proretset
  AND p.pronargs = 2 AND p.proargtypes[0] = 'text'::pg_catalog.regtype AND p.proargtypes[1] = 'int8'::pg_catalog.regtype
ORDER BY s.place
LIMIT 1
