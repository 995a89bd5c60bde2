-- Payloads are taken in order, so the oldest one says when. While a first load is under way they wait for its end: it
-- relies on every row being one of its own.
SELECT greatest(0, coalesce(date_part('epoch', q.not_before - $2), 0))
FROM sluice._ingest AS q
JOIN sluice._job AS j ON j.id = q.job_id
JOIN sluice._job_state AS t ON t.job_id = j.id
WHERE q.job_id = $1 AND q.status = 'queued' AND NOT (j.mode = 'replace' AND t.reading AND t.direct)
ORDER BY q.id
LIMIT 1
