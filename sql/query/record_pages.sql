INSERT INTO sluice._page (job_id, generation, run_id, number, token_in, token_out, records, bytes, hash, etag, received_at,
                          last_modified, total, total_pages, parent, ignored)
SELECT $1, $2, $3, p.*
FROM unnest($4::bigint[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::bytea[], $10::text[],
            $11::timestamptz[], $12::text[], $13::bigint[], $14::bigint[], $15::bytea[], $16::boolean[]) AS p
