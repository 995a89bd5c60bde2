-- Rejected records. What they hold is for those who may read the data: roles with the rights of the job's owner.

CREATE VIEW sluice.sync_rejects WITH (security_barrier) AS
SELECT x.id,
       j.name AS data_type,
       x.run_id,
       x.generation,
       x.page,
       x.position,
       CASE WHEN j.own THEN x.key END AS key,
       x.column_name,
       x.sqlstate,
       sluice._told(x.error_message, x.sqlstate, 'data', j.own) AS error_message,
       CASE WHEN j.own THEN x.error_detail END AS error_detail,
       sluice._hinted(x.error_hint, x.sqlstate, j.own) AS error_hint,
       CASE WHEN j.own THEN left(x.raw, 65536) END AS raw,
       x.raw_bytes > 65536 AS truncated,
       x.status,
       x.settled_by,
       x.created_at
FROM sluice._reject AS x
JOIN sluice._visible_job AS j ON j.id = x.job_id;
