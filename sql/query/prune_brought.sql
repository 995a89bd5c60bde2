-- Own rows are those of the last whole read and what upserts brought since. A rollback may go back to before that read.
DELETE FROM sluice._brought AS b
WHERE b.job_id = $1
  AND b.generation < (
      SELECT min(w.generation)
      FROM (SELECT coalesce(t.whole_generation, 0) AS generation FROM sluice._job_state AS t WHERE t.job_id = $1
            UNION ALL
            SELECT coalesce((r.before ->> 'whole_generation')::bigint, 0) FROM sluice._run AS r
            WHERE r.job_id = $1 AND r.before IS NOT NULL
              AND EXISTS (SELECT FROM sluice._undo AS u JOIN sluice._run AS o ON o.id = u.run_id
                          WHERE u.job_id = $1 AND (o.id = r.id OR o.generation = r.generation))) AS w)
