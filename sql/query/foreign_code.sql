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
), part (class, object) AS (
    -- What belongs to these tables and holds code or types.
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::oid, r.oid FROM relation AS r
    UNION ALL
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, i.indexrelid FROM pg_catalog.pg_index AS i JOIN relation AS r ON r.oid = i.indrelid
    UNION ALL
    SELECT 'pg_catalog.pg_attrdef'::pg_catalog.regclass, a.oid FROM pg_catalog.pg_attrdef AS a JOIN relation AS r ON r.oid = a.adrelid
    UNION ALL
    SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid FROM pg_catalog.pg_constraint AS k JOIN relation AS r ON r.oid = k.conrelid
    UNION ALL
    SELECT 'pg_catalog.pg_rewrite'::pg_catalog.regclass, w.oid FROM pg_catalog.pg_rewrite AS w JOIN relation AS r ON r.oid = w.ev_class
    UNION ALL
    SELECT 'pg_catalog.pg_trigger'::pg_catalog.regclass, t.oid FROM pg_catalog.pg_trigger AS t JOIN relation AS r ON r.oid = t.tgrelid
    WHERE NOT t.tgisinternal
), used (class, object) AS (
    SELECT p.class, p.object FROM part AS p
    UNION
    -- What those use, and what that uses: functions, operators, types and the checks of domains.
    SELECT f.class, f.object FROM used AS u
    CROSS JOIN LATERAL (
        SELECT d.refclassid AS class, d.refobjid AS object FROM pg_catalog.pg_depend AS d
        WHERE d.classid = u.class AND d.objid = u.object
          AND d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass,
                               'pg_catalog.pg_type'::pg_catalog.regclass, 'pg_catalog.pg_opclass'::pg_catalog.regclass,
                               'pg_catalog.pg_opfamily'::pg_catalog.regclass)
        UNION ALL
        -- The columns of a composite type hang on its entry in pg_class.
        SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::oid, c.typrelid FROM pg_catalog.pg_type AS c
        WHERE c.oid = u.object AND c.typtype = 'c' AND u.class = 'pg_catalog.pg_type'::pg_catalog.regclass
        UNION ALL
        SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid FROM pg_catalog.pg_constraint AS k
        WHERE k.contypid = u.object AND u.class = 'pg_catalog.pg_type'::pg_catalog.regclass
    ) AS f
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
FROM used AS u JOIN pg_catalog.pg_proc AS p ON p.oid = u.object JOIN ordinary AS o ON o.oid = p.proowner
WHERE u.class = 'pg_catalog.pg_proc'::pg_catalog.regclass
UNION ALL
-- Whose owner can add a check to it, or a column with one.
SELECT 'type', t.oid::pg_catalog.regtype::text,
       pg_catalog.format('ALTER TABLE %s OWNER TO %I', $1::pg_catalog.regclass, o.rolname)
FROM used AS u JOIN pg_catalog.pg_type AS t ON t.oid = u.object AND t.typtype IN ('d', 'c')
JOIN ordinary AS o ON o.oid = t.typowner
WHERE u.class = 'pg_catalog.pg_type'::pg_catalog.regclass
LIMIT 1
