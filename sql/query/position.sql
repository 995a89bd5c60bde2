SELECT jsonb_build_object('published_generation', t.published_generation, 'published_run', t.published_run,
                          'published_rows', t.published_rows, 'cursor', t.cursor,
                          'published_version', encode(t.published_version, 'hex'),
                          'whole_generation', t.whole_generation, 'whole_at', t.whole_at,
                          'whole_version', encode(t.whole_version, 'hex'))::text
FROM sluice._job_state AS t
WHERE t.job_id = $1
