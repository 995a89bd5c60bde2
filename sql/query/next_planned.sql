-- Where somebody has to connect the connection again, only payloads are due: they need no remote.
SELECT date_part('epoch', min(least(CASE WHEN c.server_oid IS NULL THEN t.next_run_at END, p.at)) - $1)
FROM sluice._job_state AS t
JOIN sluice._job AS j ON j.id = t.job_id
LEFT JOIN sluice._waiting_connection AS c ON c.server_oid = j.server_oid
-- The next payload of a webhook; see seconds_to_payload.sql.
LEFT JOIN LATERAL (
    SELECT coalesce(q.not_before, q.queued_at) AS at FROM sluice._ingest AS q
    WHERE q.job_id = j.id AND q.status = 'queued' AND NOT (j.mode = 'replace' AND t.reading AND t.direct)
    ORDER BY q.id LIMIT 1
) AS p ON true
WHERE j.enabled AND j.paused_at IS NULL AND j.armed_system = $2 AND j.armed_database = $3
  AND NOT EXISTS (SELECT FROM sluice._connection_pause AS z WHERE z.server_oid = j.server_oid)
  AND NOT EXISTS (SELECT FROM sluice._run AS r
                  WHERE r.job_id = j.id AND r.status IN ('scheduled', 'running', 'publishing'))
