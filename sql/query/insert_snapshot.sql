INSERT INTO sluice._snapshot (job_id, label, made_by, created_by, columns, types, mapped, key, position)
SELECT j.id, $2, $3, $4, $5, sluice._column_types(j.target_oid, $5), $6, $7, $8::jsonb
FROM sluice._job AS j WHERE j.id = $1
RETURNING id
