-- The retry queue: what its calls say, and the queries of dashboards as they stand.
CREATE EXTENSION pg_sluice;
SET search_path = sluice, public;

SELECT data_type, status, last_check_time, item_count, consecutive_failures,
  CASE WHEN status = 'healthy' AND consecutive_failures = 0 THEN 'excellent' WHEN status = 'healthy' THEN 'good'
       WHEN status = 'degraded' THEN 'fair' ELSE 'poor' END AS overall_health
FROM sync_connection_health;
SELECT data_type, operation, status, retry_count, next_retry_at, last_error_message
FROM sync_retry_queue WHERE status IN ('pending', 'processing') ORDER BY priority DESC, created_at ASC;

-- The order that ORDER BY priority DESC gives.
SELECT p FROM unnest(enum_range(NULL::sluice.priority)) AS p ORDER BY p DESC;

SELECT * FROM process_sync_retries();
SELECT * FROM process_sync_retries(NULL);
SELECT * FROM process_sync_retries(0);
SELECT cleanup();
SELECT clear_queue();
SELECT clear_queue('nobody');
SELECT retry_now('nobody');
SELECT retry_now(NULL);
SELECT redrive('nobody');
SELECT * FROM get_retry_queue();
SELECT * FROM get_retry_queue('pending');
SELECT * FROM get_retry_queue('waiting');
SELECT * FROM get_connection_health();
SELECT * FROM get_connection_health('nobody');

SELECT is_recoverable_error(t), t
FROM unnest(ARRAY['Network unreachable', 'HTTP 503', 'rate limit', 'empty data from the network', 'Unauthorized',
                  'no idea', '', NULL]) AS t;

-- Without pg_cron: what to run where it is.
SELECT jobname, schedule, command, installed, statement IS NOT NULL AS told FROM install_cron_jobs();
SELECT * FROM remove_cron_jobs();
