SELECT r.status, r.sqlstate,
       -- Without an SQLSTATE the message is a remark, and not why the run is held.
       -- One that waits to begin tells what for.
       CASE WHEN r.status = 'scheduled' THEN
                CASE WHEN r.not_before > pg_catalog.now()
                     THEN pg_catalog.format('%s, until %s', r.rate_wait, pg_catalog.date_trunc('second', r.not_before)) END
            WHEN r.status = 'held' AND r.sqlstate IS NULL THEN pg_catalog.concat_ws(' ', r.held_reason, told.message)
            ELSE coalesce(told.message, r.held_reason) END,
       sluice._detailed(r.error_detail, r.sqlstate, reader.own),
       sluice._hinted(r.error_hint, r.sqlstate, reader.own)
FROM sluice._run AS r
JOIN sluice._job AS j ON j.id = r.job_id
CROSS JOIN LATERAL (SELECT coalesce(pg_catalog.pg_has_role($2, sluice._owner_now(j), 'USAGE'), false) AS own) AS reader
CROSS JOIN LATERAL (SELECT sluice._told(r.error_message, r.sqlstate, r.error_class, reader.own) AS message) AS told
WHERE r.id = $1
