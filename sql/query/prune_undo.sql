WITH published AS (
    -- Runs that wrote payloads of webhooks may be many between two reads: a hundred of them take the place of one.
    SELECT r.id, greatest(count(*) FILTER (WHERE r.source <> 'ingest') OVER newest,
                          row_number() OVER newest / 100, 1) AS place, row_number() OVER newest AS newness, r.finished_at
    FROM sluice._run AS r
    WHERE r.job_id = $1 AND r.status = 'succeeded' AND r.publishes
    WINDOW newest AS (ORDER BY r.id DESC)
), sized AS (
    -- What it takes to keep this run and all newer ones. Sets of runs that were interrupted on the way to a published
    -- one belong to it.
    SELECT p.*, (SELECT coalesce(sum(octet_length(u.payload)), 0) FROM sluice._undo AS u
                 WHERE u.job_id = $1
                   AND u.run_id > coalesce((SELECT max(b.id) FROM published AS b WHERE b.id < p.id), 0)) AS bytes
    FROM published AS p
), oldest AS (
    -- None to be kept: every published run is older than that.
    SELECT coalesce(min(id), 9223372036854775807) AS id FROM sized
    WHERE place <= $2
      AND (newness = 1 OR finished_at IS NULL OR finished_at > now() - make_interval(days => $3::integer))
      AND (newness = 1 OR $4::bigint IS NULL OR bytes <= $4)
)
DELETE FROM sluice._undo AS u USING oldest AS o
WHERE u.job_id = $1
  AND u.run_id < o.id
  -- Sets of runs that were interrupted on the way to the oldest kept one belong to it.
  AND u.run_id <= coalesce((SELECT max(p.id) FROM published AS p WHERE p.id < o.id), 0)
