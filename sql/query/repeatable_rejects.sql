-- What the published read rejected on pages that this read has again as they were.
SELECT x.id, x.page, x.position, x.key_fields IS NULL, x.column_name, x.sqlstate, x.error_message, x.error_detail, x.error_hint,
       x.line IS NOT NULL
FROM sluice._reject AS x
JOIN sluice._page AS w ON w.job_id = x.job_id AND w.generation = $2 AND w.number = x.page
JOIN sluice._page AS n ON n.job_id = x.job_id AND n.generation = $3 AND n.number = x.page AND n.hash = w.hash
WHERE x.job_id = $1 AND x.generation <= $2 AND x.until IS NULL AND x.status = 'rejected' AND x.key_form = $4
