INSERT INTO sluice._drift AS d (job_id, generation, first_seen_at, last_seen_at,
                                field, kind, place, sample_type, seen_count, column_type, note)
SELECT $1, $2, $3, $3, n.*
FROM unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::text[], $10::text[]) AS n
ON CONFLICT (job_id, field, kind) DO UPDATE SET
    generation = excluded.generation,
    last_seen_at = excluded.last_seen_at,
    sample_type = excluded.sample_type,
    seen_count = d.seen_count + excluded.seen_count,
    column_type = excluded.column_type,
    -- A column that was widened waits again.
    column_name = CASE WHEN d.kind <> 'widened' THEN d.column_name END,
    note = coalesce(excluded.note, d.note)
