DELETE FROM sluice._run AS r
WHERE r.job_id = $1
  AND r.status NOT IN ('scheduled', 'running', 'publishing', 'held')
  AND (r.finished_at < $3
       OR r.id NOT IN (SELECT x.id FROM sluice._run AS x WHERE x.job_id = $1 AND x.source <> 'ingest'
                       ORDER BY x.id DESC LIMIT $2)
       -- Webhooks come at any rate: their runs do not take the place of others.
       AND r.id NOT IN (SELECT x.id FROM sluice._run AS x WHERE x.job_id = $1 AND x.source = 'ingest'
                        ORDER BY x.id DESC LIMIT $2))
  AND NOT EXISTS (SELECT FROM sluice._undo AS u WHERE u.run_id = r.id)
  AND r.id <> coalesce((SELECT max(x.id) FROM sluice._run AS x WHERE x.job_id = $1 AND x.status = 'succeeded' AND x.source <> 'ingest'), 0)
  AND r.id <> coalesce((SELECT max(x.id) FROM sluice._run AS x WHERE x.job_id = $1 AND x.error_class IS NOT NULL), 0)
