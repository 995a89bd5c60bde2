WITH stale AS (
    SELECT DISTINCT ON (x.pattern, r.oid) x.pattern, x.role_oid AS was, x.armed_in, r.oid
    FROM sluice._allowed_origin AS x
    JOIN pg_catalog.pg_roles AS r ON r.rolname = x.role_name
    WHERE x.armed_in <> sluice._here()
      AND NOT EXISTS (SELECT FROM sluice._allowed_origin AS n
                      WHERE n.pattern = x.pattern AND n.role_oid = r.oid AND n.armed_in = sluice._here())
    ORDER BY x.pattern, r.oid
)
UPDATE sluice._allowed_origin AS x SET role_oid = s.oid, armed_in = sluice._here()
FROM stale AS s WHERE (x.pattern, x.role_oid, x.armed_in) = (s.pattern, s.was, s.armed_in)
