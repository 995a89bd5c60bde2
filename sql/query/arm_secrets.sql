-- Whoever has set a secret again in this database meant that one.
WITH stale AS (
    SELECT DISTINCT ON (r.oid, x.name) x.id, r.oid AS owner_oid
    FROM sluice._secret AS x
    JOIN pg_catalog.pg_roles AS r ON r.rolname = x.owner_name
    WHERE x.armed_in <> sluice._here()
      AND NOT EXISTS (SELECT FROM sluice._secret AS n
                      WHERE n.owner_oid = r.oid AND n.name = x.name AND n.armed_in = sluice._here())
    ORDER BY r.oid, x.name, x.updated_at DESC
)
UPDATE sluice._secret AS x SET owner_oid = s.owner_oid, armed_in = sluice._here() FROM stale AS s WHERE x.id = s.id
