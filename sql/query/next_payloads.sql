-- As many as fit together; one that does not is taken alone.
SELECT x.id, convert_to(x.payload::text, 'UTF8'), x.bytes
FROM (
    SELECT q.id, q.payload, q.bytes, sum(q.bytes) OVER (ORDER BY q.id) - q.bytes AS before
    FROM (
        SELECT * FROM sluice._ingest AS i
        WHERE i.job_id = $1 AND i.status = 'queued' AND i.id <= $2
        ORDER BY i.id LIMIT $3
    ) AS q
) AS x
WHERE x.before < $4
ORDER BY x.id
