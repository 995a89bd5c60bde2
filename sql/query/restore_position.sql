UPDATE sluice._job_state
SET published_generation = ($2::jsonb ->> 'published_generation')::bigint,
    published_run = ($2::jsonb ->> 'published_run')::bigint,
    published_rows = coalesce(($2::jsonb ->> 'published_rows')::bigint, 0),
    published_version = decode($2::jsonb ->> 'published_version', 'hex'),
    whole_generation = ($2::jsonb ->> 'whole_generation')::bigint,
    cursor = $2::jsonb ->> 'cursor',
    whole_at = ($2::jsonb ->> 'whole_at')::timestamptz,
    reading = false, complete = false, skip_valid = false, updated_at = now()
WHERE job_id = $1
