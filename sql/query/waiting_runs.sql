SELECT r.id, r.job_id, greatest(0, coalesce(date_part('epoch', r.not_before - $1), 0))
FROM sluice._run AS r
JOIN sluice._job AS j ON j.id = r.job_id
WHERE r.status = 'scheduled'
ORDER BY array_position(ARRAY['high', 'normal', 'low'], j.priority), r.created_at, r.id
