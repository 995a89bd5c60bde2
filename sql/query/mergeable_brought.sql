-- Batches older than every read that can be taken back by itself, held, or gone on with.
WITH oldest AS (
    SELECT least((SELECT t.generation FROM sluice._job_state AS t WHERE t.job_id = $1),
                 (SELECT min(r.generation) FROM sluice._run AS r
                  WHERE r.job_id = $1 AND (r.status = 'held' OR EXISTS (SELECT FROM sluice._undo AS u WHERE u.run_id = r.id)))
                ) AS generation
)
SELECT max(b.generation),
       coalesce(sum(b.records) FILTER (WHERE NOT b.merged), 0)::bigint - coalesce(sum(b.records) FILTER (WHERE b.merged), 0)::bigint
FROM sluice._brought AS b, oldest AS o
WHERE b.job_id = $1 AND b.generation < o.generation
