-- Texts come in UTF-8 and are converted; what is to be converted to must be known.
DO $$
BEGIN
    IF pg_catalog.getdatabaseencoding() = 'SQL_ASCII' THEN
        RAISE EXCEPTION 'pg_sluice cannot work in a database with the encoding SQL_ASCII' USING
            ERRCODE = 'feature_not_supported',
            DETAIL = 'Such a database takes any bytes for text, so that nothing can be converted for it.',
            HINT = 'CREATE DATABASE ... ENCODING ''UTF8'' TEMPLATE template0;';
    END IF;
END
$$;

-- The schema must be this extension's own: a schema of somebody else could hold objects that ours would call.

DO $$
DECLARE
    found record;
BEGIN
    SELECT n.oid, pg_catalog.pg_get_userbyid(n.nspowner) AS owner,
           n.nspowner = (SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user) AS ours,
           EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE d.refobjid = n.oid
                   AND d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.deptype = 'n'
                   -- The extension that is being made says itself that it lies in this schema.
                   AND d.classid <> 'pg_catalog.pg_extension'::pg_catalog.regclass) AS used
    INTO found
    FROM pg_catalog.pg_namespace AS n WHERE n.nspname = 'sluice';
    IF found.used OR NOT found.ours THEN
        RAISE EXCEPTION 'schema "sluice" exists already' USING
            ERRCODE = 'duplicate_schema',
            DETAIL = pg_catalog.format('It belongs to %s.', found.owner),
            HINT = 'Drop or rename it, then create the extension again.';
    END IF;
END
$$;
