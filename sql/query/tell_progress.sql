SELECT pg_notify('sluice_events', jsonb_strip_nulls(jsonb_build_object(
    'event', 'progress', 'data_type', j.name, 'run', r.id, 'phase', $2::text, 'page', $3::bigint, 'pages_total', nullif($4::bigint, -1),
    'records', $5::bigint, 'at', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')))::text)
FROM sluice._run AS r JOIN sluice._job AS j ON j.id = r.job_id
WHERE r.id = $1
