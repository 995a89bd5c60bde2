-- What a kept read, or one that a rollback may go back to, began after; and what came again since.
DELETE FROM sluice._ingested AS i
USING sluice._job_state AS t
WHERE i.job_id = $1 AND t.job_id = $1
  AND (i.after_generation < least(
      coalesce(t.whole_generation, 0),
      (SELECT min(coalesce((r.before ->> 'whole_generation')::bigint, 0)) FROM sluice._run AS r
       WHERE r.job_id = $1 AND r.before IS NOT NULL
         AND EXISTS (SELECT FROM sluice._undo AS u JOIN sluice._run AS o ON o.id = u.run_id
                     WHERE u.job_id = $1 AND (o.id = r.id OR o.generation = r.generation))))
       OR EXISTS (SELECT FROM sluice._ingested AS later
                  WHERE later.job_id = i.job_id AND later.key_form = i.key_form AND later.key = i.key
                    AND later.after_generation > i.after_generation
                    AND NOT EXISTS (SELECT FROM sluice._undo AS u WHERE u.run_id = later.run_id)))
