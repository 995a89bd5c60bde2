-- The same content may come twice in a batch.
INSERT INTO sluice._page_body (job_id, hash, records, body, keys, gone)
SELECT $1, p.*
FROM unnest($2::bytea[], $3::bigint[], $4::bytea[], $5::bytea[], $6::bytea[]) AS p
ON CONFLICT DO NOTHING
