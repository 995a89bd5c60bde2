-- The most particular first.
SELECT r.id, r.name, r.pattern::text, r.error_class, r.action, r.hint, date_part('epoch', r.pause_for)
FROM sluice._error_rule AS r
WHERE coalesce(r.job_id, $1) = $1 AND (r.server_oid IS NULL OR r.server_oid = $2 AND r.armed_in = sluice._here())
ORDER BY (r.job_id IS NULL)::integer, (r.server_oid IS NULL)::integer, r.priority, r.id
