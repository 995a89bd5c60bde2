-- Health that others report, the figures, the audit log: what is refused, and what stands there.
SET client_min_messages = warning;
CREATE EXTENSION pg_sluice;
RESET client_min_messages;
SELECT sluice.update_connection_health_status(NULL, 'healthy');
SELECT sluice.update_connection_health_status('import', NULL);
SELECT sluice.update_connection_health_status('import', 'fine');
SELECT sluice.update_connection_health_status('', 'healthy');
SELECT sluice.update_connection_health_status(repeat('x', 64), 'healthy');
SELECT sluice.update_connection_health_status('import', 'healthy', -1);
SELECT sluice.update_connection_health_status('import', 'degraded', 17, 'half of the files came');
SELECT sluice.create_connection('shop', 'http://127.0.0.1:1');
CREATE TABLE products (id bigint PRIMARY KEY);
SELECT sluice.create_job('products', 'shop', '/products', schedule => 'manual', settings => '{"params": {"key": "a value"}}');
SELECT sluice.update_connection_health_status('products', 'healthy');
SELECT data_type, status, item_count, error_message, consecutive_failures, reason, action, source
FROM sluice.get_connection_health() ORDER BY data_type;
-- A dashboard's question about health, as it stands.
SET search_path = sluice;
SELECT data_type, status, item_count, consecutive_failures,
  CASE WHEN status = 'healthy' AND consecutive_failures = 0 THEN 'excellent' WHEN status = 'healthy' THEN 'good'
       WHEN status = 'degraded' THEN 'fair' ELSE 'poor' END AS overall_health
FROM sync_connection_health ORDER BY 1;
RESET search_path;
SELECT sluice.forget_connection_health_status('import'), sluice.forget_connection_health_status('import');
SELECT sluice.get_sync_metrics();
SELECT h -> 'overall' AS overall, h -> 'queue' AS queue, h -> 'freshness' AS freshness FROM sluice.get_sync_system_health() AS h;
SELECT c ->> 'name' AS name, c ->> 'status' AS status, c ->> 'detail' AS detail, c ->> 'hint' AS hint
FROM jsonb_array_elements(sluice.get_sync_system_health() -> 'checks') AS c;
SELECT metric, type, data_type, label, value FROM sluice.sync_metrics
WHERE metric NOT IN ('sluice_workers', 'sluice_launcher_up') ORDER BY metric, label;
-- The audit log.
SELECT action, object_type, object, after ->> 'path' AS path, after -> 'settings' AS settings, after -> 'options' AS options
FROM sluice.sync_audit_log ORDER BY id;
UPDATE sluice._audit SET object = 'x';
DELETE FROM sluice._audit;
TRUNCATE sluice._audit;
DROP EXTENSION pg_sluice CASCADE;
