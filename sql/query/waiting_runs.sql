-- Runs that wait for a worker at the time $1, in the order in which they get one. A low job gives way to what was asked
-- for up to twenty minutes after it, a normal one to what was asked for up to ten minutes after it, and to no more: none
-- waits for ever. What a person has asked for is as urgent as high.
SELECT r.id, r.job_id, greatest(0, coalesce(date_part('epoch', r.not_before - $1), 0)), j.server_oid,
       date_part('epoch', $1 - greatest(r.created_at, r.not_before)),
       CASE WHEN r.rate_wait IS NULL THEN r.source ELSE 'rate' END,
       r.source = 'manual', r.task = 'sync' AND r.approved_by IS NULL AND r.source <> 'ingest'
FROM sluice._run AS r
JOIN sluice._job AS j ON j.id = r.job_id
WHERE r.status = 'scheduled'
ORDER BY greatest(r.created_at, r.not_before)
         + CASE WHEN j.priority = 'high' OR r.source = 'manual' OR r.task <> 'sync' OR r.approved_by IS NOT NULL
                    THEN interval '0'
                WHEN j.priority = 'normal' THEN interval '10 minutes'
                ELSE interval '20 minutes' END,
         r.id
