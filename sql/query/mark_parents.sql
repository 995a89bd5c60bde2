UPDATE sluice._parent AS p
SET state = m.state, first_page = m.first_page, pages = m.pages, records = m.records, kept = m.kept, error_message = m.error
FROM unnest($3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::boolean[], $9::text[])
    AS m (ordinal, state, first_page, pages, records, kept, error)
WHERE p.job_id = $1 AND p.generation = $2 AND p.ordinal = m.ordinal
