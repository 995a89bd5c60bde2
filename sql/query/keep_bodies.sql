-- The same content may come twice in a batch.
INSERT INTO sluice._page_body (job_id, hash, records, body, keys)
SELECT $1, p.*
FROM unnest($2::bytea[], $3::bigint[], $4::bytea[], $5::bytea[]) AS p
ON CONFLICT DO NOTHING
