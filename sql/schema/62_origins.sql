-- Origins that roles without USAGE on the wrapper may make connections to.

CREATE TABLE sluice._allowed_origin (
    pattern    text NOT NULL,
    role_oid   oid NOT NULL,
    -- The role is the one that has this oid and this name: in a restored database the oid may be another role's.
    role_name  text NOT NULL,
    allowed_by text NOT NULL,
    allowed_at timestamptz NOT NULL DEFAULT now(),
    armed_in   text NOT NULL DEFAULT sluice._here(),
    PRIMARY KEY (pattern, role_oid, armed_in)
);

SELECT pg_catalog.pg_extension_config_dump('sluice._allowed_origin', '');

CREATE TRIGGER _audited AFTER INSERT OR UPDATE OR DELETE ON sluice._allowed_origin
FOR EACH ROW EXECUTE FUNCTION sluice._audit_row('allowed origin', 'pattern', 'role_oid,allowed_at,armed_in');

CREATE VIEW sluice.sync_allowed_origins WITH (security_barrier) AS
SELECT a.pattern,
       a.role_name AS role,
       r.oid IS NOT NULL AS valid,
       a.allowed_by,
       a.allowed_at
FROM sluice._allowed_origin AS a
LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = a.role_oid AND r.rolname = a.role_name AND a.armed_in = sluice._here()
WHERE r.oid IS NOT NULL AND pg_catalog.pg_has_role(r.oid, 'USAGE')
   OR pg_catalog.pg_has_role('pg_monitor', 'USAGE')
   OR pg_catalog.has_function_privilege('sluice._monitor_level()', 'EXECUTE')
   OR pg_catalog.has_function_privilege('sluice._admin_level()', 'EXECUTE');

COMMENT ON VIEW sluice.sync_allowed_origins IS 'One row an origin pattern that a role may make connections to, and who allowed it. valid is false where the role was renamed or dropped, or the database restored and not armed yet: then it allows nothing.';
COMMENT ON COLUMN sluice.sync_allowed_origins.pattern IS 'A scheme, a host and a port; *.example.com are the names below example.com.';
