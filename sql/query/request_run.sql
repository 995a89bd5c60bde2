INSERT INTO sluice._run AS r (job_id, source, requested_by, status, not_before)
VALUES ($1, $2, $3, 'scheduled', $4)
ON CONFLICT (job_id) WHERE status IN ('scheduled', 'running', 'publishing')
DO UPDATE SET not_before = CASE WHEN excluded.source <> 'ingest' THEN NULL ELSE r.not_before END,
              source = CASE WHEN r.source = 'ingest' AND r.status = 'scheduled'
                              -- A person does not wait for the minute in which its remote is asked again.
                              OR r.rate_wait IS NOT NULL AND r.status = 'scheduled' AND excluded.source = 'manual' THEN excluded.source ELSE r.source END,
              requested_by = CASE WHEN r.source = 'ingest' AND r.status = 'scheduled' THEN excluded.requested_by
                                  ELSE r.requested_by END
RETURNING id
