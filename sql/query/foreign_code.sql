-- Code that somebody other than a superuser can add to or change under a write to this table. A worker that writes as
-- superuser must find none. Each row: what it is, its name, and the statement that mends it.
WITH RECURSIVE reached (oid) AS (
    SELECT $1
    UNION
    SELECT f.oid FROM reached AS r
    CROSS JOIN LATERAL (
        SELECT i.inhrelid AS oid FROM pg_catalog.pg_inherits AS i WHERE i.inhparent = r.oid
        UNION ALL
        -- A foreign key's action writes to the referencing table; its deferred triggers run as whoever commits.
        SELECT k.conrelid FROM pg_catalog.pg_constraint AS k
        WHERE k.contype = 'f' AND k.confrelid = r.oid
          AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd'))
    ) AS f
), relation AS (
    SELECT c.oid, c.relowner, c.relacl FROM pg_catalog.pg_class AS c JOIN reached AS x ON x.oid = c.oid
), member (role) AS (
    SELECT m.member FROM pg_catalog.pg_auth_members AS m JOIN relation AS r ON r.relowner = m.roleid
    UNION
    SELECT m.member FROM pg_catalog.pg_auth_members AS m JOIN member AS x ON x.role = m.roleid
), ordinary AS (
    SELECT a.oid, a.rolname FROM pg_catalog.pg_roles AS a WHERE NOT a.rolsuper
), used AS (
    -- Functions that triggers, defaults, checks, generated columns and index expressions call.
    SELECT t.tgfoid AS function FROM pg_catalog.pg_trigger AS t JOIN relation AS r ON r.oid = t.tgrelid
    WHERE NOT t.tgisinternal
    UNION
    SELECT d.refobjid FROM pg_catalog.pg_depend AS d
    WHERE d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
      AND (d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
               AND d.objid IN (SELECT a.oid FROM pg_catalog.pg_attrdef AS a JOIN relation AS r ON r.oid = a.adrelid)
           OR d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass
               AND d.objid IN (SELECT k.oid FROM pg_catalog.pg_constraint AS k JOIN relation AS r ON r.oid = k.conrelid
                               UNION ALL
                               SELECT k.oid FROM pg_catalog.pg_constraint AS k
                               JOIN pg_catalog.pg_attribute AS a ON a.atttypid = k.contypid
                               JOIN relation AS r ON r.oid = a.attrelid)
           OR d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
               AND d.objid IN (SELECT i.indexrelid FROM pg_catalog.pg_index AS i JOIN relation AS r ON r.oid = i.indrelid))
)
SELECT 'grant of ' || a.privilege_type AS kind,
       pg_catalog.format('%s to %s', r.oid::pg_catalog.regclass,
                         CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(a.grantee)::text END) AS name,
       pg_catalog.format('REVOKE %s ON %s FROM %s', a.privilege_type, r.oid::pg_catalog.regclass,
                         CASE WHEN a.grantee = 0 THEN 'PUBLIC'
                              ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END) AS remedy
FROM relation AS r CROSS JOIN LATERAL pg_catalog.aclexplode(r.relacl) AS a
WHERE a.privilege_type IN ('TRIGGER', 'REFERENCES')
  AND (a.grantee = 0 OR a.grantee IN (SELECT o.oid FROM ordinary AS o))
UNION ALL
SELECT 'grant of REFERENCES', pg_catalog.format('%s.%I to %s', r.oid::pg_catalog.regclass, c.attname,
                         CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(a.grantee)::text END),
       pg_catalog.format('REVOKE REFERENCES (%I) ON %s FROM %s', c.attname, r.oid::pg_catalog.regclass,
                         CASE WHEN a.grantee = 0 THEN 'PUBLIC'
                              ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END)
FROM relation AS r
JOIN pg_catalog.pg_attribute AS c ON c.attrelid = r.oid AND NOT c.attisdropped
CROSS JOIN LATERAL pg_catalog.aclexplode(c.attacl) AS a
WHERE a.privilege_type = 'REFERENCES' AND (a.grantee = 0 OR a.grantee IN (SELECT o.oid FROM ordinary AS o))
UNION ALL
SELECT 'owner', pg_catalog.format('%s of %s', o.rolname, r.oid::pg_catalog.regclass),
       pg_catalog.format('ALTER TABLE %s OWNER TO %I', r.oid::pg_catalog.regclass, pg_catalog.pg_get_userbyid(t.relowner))
FROM relation AS r JOIN ordinary AS o ON o.oid = r.relowner JOIN pg_catalog.pg_class AS t ON t.oid = $1
UNION ALL
SELECT 'member of the owner', o.rolname::text,
       pg_catalog.format('ALTER TABLE %s OWNER TO %I', $1::pg_catalog.regclass, o.rolname)
FROM member AS m JOIN ordinary AS o ON o.oid = m.role
UNION ALL
SELECT 'function', p.oid::pg_catalog.regprocedure::text,
       pg_catalog.format('ALTER TABLE %s OWNER TO %I', $1::pg_catalog.regclass, o.rolname)
FROM used AS u JOIN pg_catalog.pg_proc AS p ON p.oid = u.function JOIN ordinary AS o ON o.oid = p.proowner
UNION ALL
SELECT 'domain', t.oid::pg_catalog.regtype::text,
       pg_catalog.format('ALTER TABLE %s OWNER TO %I', $1::pg_catalog.regclass, o.rolname)
FROM relation AS r
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid AND t.typtype = 'd'
JOIN ordinary AS o ON o.oid = t.typowner
LIMIT 1
