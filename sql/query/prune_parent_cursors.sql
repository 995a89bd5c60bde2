-- Of the changes before every run that can be taken back, the last one of each parent is what counts.
WITH oldest AS (
    SELECT coalesce(min(u.run_id), 9223372036854775807) AS run_id FROM sluice._undo AS u WHERE u.job_id = $1
)
DELETE FROM sluice._parent_cursor AS c USING oldest AS o
WHERE c.job_id = $1 AND c.run_id < o.run_id
  AND (c.cursor IS NULL
       OR EXISTS (SELECT FROM sluice._parent_cursor AS n
                  WHERE n.job_id = c.job_id AND n.identity = c.identity AND n.run_id > c.run_id AND n.run_id < o.run_id))
