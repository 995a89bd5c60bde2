-- The function (jsonb) of this name in the first of these schemas that has one, and whose it is.
SELECT p.oid, n.nspname::text, a.oid, a.rolname::text, a.rolcanlogin
FROM pg_catalog.unnest($1) WITH ORDINALITY AS s (name, place)
JOIN pg_catalog.pg_namespace AS n ON n.nspname = s.name
JOIN pg_catalog.pg_proc AS p ON p.pronamespace = n.oid
JOIN pg_catalog.pg_roles AS a ON a.oid = p.proowner
WHERE p.proname = $2 AND p.prokind = 'f' AND NOT p.proretset
  AND p.pronargs = 1 AND p.proargtypes[0] = 'jsonb'::pg_catalog.regtype
ORDER BY s.place
LIMIT 1
