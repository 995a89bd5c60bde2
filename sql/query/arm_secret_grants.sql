WITH stale AS (
    SELECT DISTINCT ON (x.secret_id, r.oid) x.secret_id, x.role_oid AS was, x.armed_in, r.oid
    FROM sluice._secret_grant AS x
    JOIN pg_catalog.pg_roles AS r ON r.rolname = x.role_name
    WHERE x.armed_in <> sluice._here()
      AND NOT EXISTS (SELECT FROM sluice._secret_grant AS n
                      WHERE n.secret_id = x.secret_id AND n.role_oid = r.oid AND n.armed_in = sluice._here())
    ORDER BY x.secret_id, r.oid
)
UPDATE sluice._secret_grant AS x SET role_oid = s.oid, armed_in = sluice._here()
FROM stale AS s WHERE (x.secret_id, x.role_oid, x.armed_in) = (s.secret_id, s.was, s.armed_in)
