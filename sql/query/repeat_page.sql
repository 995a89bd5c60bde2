INSERT INTO sluice._page (job_id, generation, number, run_id, token_in, token_out, records, bytes, hash, etag, received_at,
                          last_modified, total, total_pages, parent, ignored)
SELECT p.job_id, $4, p.number, $5, p.token_in, p.token_out, p.records, p.bytes, $6, p.etag, p.received_at,
       p.last_modified, p.total, p.total_pages, p.parent, p.ignored
FROM sluice._page AS p
WHERE p.job_id = $1 AND p.generation = $2 AND p.number = $3
