-- Looks at a remote before a job is made. What the library returns as text is made jsonb here: numbers keep their digits.

CREATE FUNCTION sluice.preview(
    connection text, path text, settings jsonb DEFAULT '{}', target text DEFAULT NULL, key text[] DEFAULT NULL,
    max_records integer DEFAULT 10)
RETURNS TABLE (record_number bigint, key jsonb, "row" jsonb, problem text)
LANGUAGE sql VOLATILE PARALLEL UNSAFE AS $$
SELECT p.record_number,
       (SELECT pg_catalog.jsonb_object_agg(k.name, p."row"::pg_catalog.jsonb OPERATOR(pg_catalog.->) k.name)
        FROM pg_catalog.unnest(p.key_columns) AS k (name) WHERE p."row" IS NOT NULL),
       p."row"::pg_catalog.jsonb,
       p.problem
FROM sluice._preview($1, $2, $3::pg_catalog.text, $4, $5, $6) AS p
$$;

CREATE FUNCTION sluice.plan_from_openapi(document jsonb)
RETURNS TABLE (name text, path text, mode text, key text[], settings jsonb, evidence text, doubt text, statement text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
SELECT p.name, p.path, p.mode, p.key, p.settings::pg_catalog.jsonb, p.evidence, p.doubt, p.statement
FROM sluice._plan_from_openapi($1::pg_catalog.text) AS p
$$;
