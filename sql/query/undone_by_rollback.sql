SELECT r.id, r.finished_at, r.inserted, r.updated, r.deleted,
       CASE WHEN EXISTS (SELECT FROM sluice._undo AS u WHERE u.run_id = r.id AND u.kind = 'first_load')
            THEN 'first load: its rows are removed'
            WHEN r.inserted + r.updated + r.deleted = 0 THEN 'changed nothing'
            ELSE pg_catalog.format('%s %s removed, %s restored, %s inserted again', r.inserted,
                                   CASE r.inserted WHEN 1 THEN 'row is' ELSE 'rows are' END, r.updated, r.deleted)
       END
FROM sluice._run AS r
WHERE r.job_id = $1 AND r.id > $2 AND r.publishes
  AND (r.status = 'succeeded' OR EXISTS (SELECT FROM sluice._undo AS u WHERE u.run_id = r.id))
ORDER BY r.id DESC
