-- Ages are counted by the server's own clock, as the views do; calls are due by ours.
SELECT min(n.seconds) FROM (
    SELECT date_part('epoch', min(c.next_retry_at) - $1) AS seconds
    FROM sluice._alert_call AS c JOIN sluice._visible_job AS j ON j.id = c.job_id AND j.armed
    WHERE c.status = 'pending'
      AND NOT EXISTS (SELECT FROM sluice._alert_call AS o WHERE o.alert_id = c.alert_id AND o.job_id = c.job_id
                      AND o.id < c.id AND o.status IN ('pending', 'processing'))
    UNION ALL
    SELECT date_part('epoch', min(t.last_success_at + 3 * j.run_every) - now()) + 1
    FROM sluice._visible_job AS j JOIN sluice._job_state AS t ON t.job_id = j.id
    WHERE j.armed AND EXISTS (SELECT FROM sluice._alert AS a WHERE a.job_id IS NULL OR a.job_id = j.id)
      AND t.last_success_at + 3 * j.run_every > now()) AS n
