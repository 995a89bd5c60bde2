-- Of two that bear the name (one came with a dump, and was not armed) the one of this place.
SELECT s.id, coalesce(o.oid, 0), s.name, s.origin, s.version, s.sealed, s.source
FROM sluice._secret AS s
CROSS JOIN LATERAL (SELECT sluice._role_now(s.owner_oid, s.owner_name, s.armed_in) AS oid) AS o
WHERE s.name = $2
  AND (o.oid = $1
       OR EXISTS (SELECT FROM sluice._secret_grant AS g
                  WHERE g.secret_id = s.id
                    AND pg_catalog.pg_has_role($1, sluice._role_now(g.role_oid, g.role_name, g.armed_in), 'USAGE')))
ORDER BY coalesce(o.oid = $1, false) DESC, s.armed_in = sluice._here() DESC
LIMIT 1
