SELECT s.id, s.owner_oid, s.name, s.origin, s.version, s.sealed, s.source
FROM sluice._secret AS s
WHERE s.name = $2
  AND (s.owner_oid = $1 OR EXISTS (SELECT FROM sluice._secret_grant AS g
                                   WHERE g.secret_id = s.id AND pg_catalog.pg_has_role($1, g.role_oid, 'USAGE')))
ORDER BY s.owner_oid = $1 DESC
LIMIT 1
