-- Pages are not dumped: of a snapshot that came with a dump, the reads that it speaks of may not be there.
WITH known AS (
    SELECT p.generation FROM sluice._page AS p WHERE p.job_id = $1 GROUP BY p.generation
)
UPDATE sluice._job_state
SET published_generation = (SELECT k.generation FROM known AS k
                            WHERE k.generation = ($2::jsonb ->> 'published_generation')::bigint),
    published_run = ($2::jsonb ->> 'published_run')::bigint,
    published_rows = coalesce(($2::jsonb ->> 'published_rows')::bigint, 0),
    published_version = decode($2::jsonb ->> 'published_version', 'hex'),
    whole_generation = (SELECT k.generation FROM known AS k
                        WHERE k.generation = ($2::jsonb ->> 'whole_generation')::bigint),
    cursor = $2::jsonb ->> 'cursor',
    whole_version = decode($2::jsonb ->> 'whole_version', 'hex'),
    whole_at = ($2::jsonb ->> 'whole_at')::timestamptz,
    reading = false, complete = false, skip_valid = false, crashes = 0, empty_reads = 0, updated_at = now()
WHERE job_id = $1
