-- What is known of a record already stays: a publish that is tried again meets the same ones.
INSERT INTO sluice._reject (job_id, run_id, generation, key_form, page, position, key, key_fields, column_name, sqlstate,
                            error_message, error_detail, error_hint, raw, raw_bytes, line)
SELECT $1, $2, $3, $4, x.*
FROM unnest($5::bigint[], $6::bigint[], $7::text[], $8::bytea[], $9::text[], $10::text[], $11::text[], $12::text[],
            $13::text[], $14::text[], $15::bigint[], $16::bigint[]) AS x
ON CONFLICT (job_id, generation, page, position) DO NOTHING
