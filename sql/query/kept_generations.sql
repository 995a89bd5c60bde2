SELECT t.generation FROM sluice._job_state AS t WHERE t.job_id = $1 AND t.reading
UNION
SELECT p.generation FROM sluice._job_state AS t, unnest(ARRAY[t.published_generation, t.whole_generation]) AS p (generation)
WHERE t.job_id = $1 AND p.generation IS NOT NULL
UNION
SELECT r.generation FROM sluice._run AS r
WHERE r.job_id = $1 AND r.status = 'held' AND r.generation IS NOT NULL
UNION
SELECT r.generation FROM sluice._run AS r
WHERE r.job_id = $1 AND r.generation IS NOT NULL AND r.status = 'succeeded'
  AND EXISTS (SELECT FROM sluice._undo AS u WHERE u.run_id = r.id)
UNION
-- What a restoration of a snapshot goes back to.
SELECT p.generation::bigint FROM sluice._snapshot AS s,
     unnest(ARRAY[s.position ->> 'published_generation', s.position ->> 'whole_generation']) AS p (generation)
WHERE s.job_id = $1 AND p.generation IS NOT NULL
UNION
-- What a rollback of a kept undo set goes back to. It may be kept under an interrupted run of the same read.
SELECT p.generation::bigint FROM sluice._run AS r,
     unnest(ARRAY[r.before ->> 'published_generation', r.before ->> 'whole_generation']) AS p (generation)
WHERE r.job_id = $1 AND p.generation IS NOT NULL
  AND EXISTS (SELECT FROM sluice._undo AS u JOIN sluice._run AS o ON o.id = u.run_id
              WHERE u.job_id = $1 AND (o.id = r.id OR o.generation = r.generation))
