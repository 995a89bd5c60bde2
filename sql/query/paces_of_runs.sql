-- How the last runs of a job went that succeeded and read something.
SELECT p.page_size, r.pages, r.records, p.requests, p.p95_ms, p.concurrency, r.inserted + r.updated + r.deleted
FROM sluice._run AS r
JOIN sluice._run_pace AS p ON p.run_id = r.id
WHERE r.job_id = $1 AND r.status = 'succeeded' AND r.task = 'sync' AND r.source <> 'ingest' AND r.pages > 0
ORDER BY r.id DESC
LIMIT $2
