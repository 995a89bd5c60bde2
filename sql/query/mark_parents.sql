UPDATE sluice._parent AS p
SET state = m.state, first_page = m.first_page, pages = m.pages, records = m.records, kept = m.kept, error_message = m.error,
    reach = m.reach, total_first = m.total_first, total_last = m.total_last
FROM unnest($3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::boolean[], $9::text[],
            $10::text[], $11::bigint[], $12::bigint[])
    AS m (ordinal, state, first_page, pages, records, kept, error, reach, total_first, total_last)
WHERE p.job_id = $1 AND p.generation = $2 AND p.ordinal = m.ordinal
