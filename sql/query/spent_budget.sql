-- What a run that goes on for an interrupted one has spent is spent.
SELECT greatest(r.failed_requests, coalesce(p.failed_requests, 0)), greatest(r.failed_in_row, coalesce(p.failed_in_row, 0))
FROM sluice._run AS r
LEFT JOIN LATERAL (
    SELECT x.failed_requests, x.failed_in_row, x.status FROM sluice._run AS x
    WHERE x.job_id = r.job_id AND x.id < r.id ORDER BY x.id DESC LIMIT 1
) AS p ON r.source = 'resume' AND p.status = 'interrupted'
WHERE r.id = $1
