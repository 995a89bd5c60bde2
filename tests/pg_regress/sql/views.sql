-- The views: columns and types are a contract with dashboards, so a change here is deliberate.
SET client_min_messages = warning;
CREATE EXTENSION pg_sluice;
RESET client_min_messages;
SELECT c.relname AS view, a.attnum AS number, a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relnamespace = 'sluice'::regnamespace AND c.relkind = 'v' AND c.relname NOT LIKE '\_%' ORDER BY 1, 2;
-- Functions: names, arguments with their defaults, results.
SELECT p.proname AS name, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result
FROM pg_proc AS p WHERE p.pronamespace = 'sluice'::regnamespace AND p.proname NOT LIKE '\_%' ORDER BY 1;
-- Every public object says what it is.
SELECT c.oid::regclass::text AS without_comment FROM pg_class AS c
WHERE c.relnamespace = 'sluice'::regnamespace AND c.relname NOT LIKE '\_%' AND c.relkind IN ('r', 'v') AND obj_description(c.oid, 'pg_class') IS NULL
UNION ALL SELECT p.oid::regprocedure::text FROM pg_proc AS p
WHERE p.pronamespace = 'sluice'::regnamespace AND p.proname NOT LIKE '\_%' AND obj_description(p.oid, 'pg_proc') IS NULL;
-- A dashboard's question about health, as it stands.
SET search_path = sluice;
SELECT data_type, status, last_check_time, item_count, consecutive_failures,
  CASE WHEN status = 'healthy' AND consecutive_failures = 0 THEN 'excellent' WHEN status = 'healthy' THEN 'good'
       WHEN status = 'degraded' THEN 'fair' ELSE 'poor' END AS overall_health
FROM sync_connection_health;
RESET search_path;
SELECT sluice.create_connection('shop', 'http://127.0.0.1:1');
CREATE TABLE products (id bigint PRIMARY KEY);
SELECT sluice.create_job('products', 'shop', '/products', schedule => 'manual');
SET search_path = sluice;
SELECT data_type, status, last_check_time, item_count, consecutive_failures,
  CASE WHEN status = 'healthy' AND consecutive_failures = 0 THEN 'excellent' WHEN status = 'healthy' THEN 'good'
       WHEN status = 'degraded' THEN 'fair' ELSE 'poor' END AS overall_health
FROM sync_connection_health;
SELECT data_type, status, error_message, reason FROM sync_connection_health;
SELECT data_type, last_sync_time, item_count, cursor, last_run_id FROM sync_metadata;
