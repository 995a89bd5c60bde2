SELECT r.status, r.sqlstate,
       coalesce(sluice._told(r.error_message, r.sqlstate, r.error_class, reader.own), r.held_reason),
       CASE WHEN reader.own OR NOT sluice._may_quote(r.sqlstate) THEN r.error_detail END,
       sluice._hinted(r.error_hint, r.sqlstate, reader.own)
FROM sluice._run AS r
JOIN sluice._job AS j ON j.id = r.job_id
CROSS JOIN LATERAL (SELECT pg_catalog.pg_has_role($2, j.owner_oid, 'USAGE') AS own) AS reader
WHERE r.id = $1
