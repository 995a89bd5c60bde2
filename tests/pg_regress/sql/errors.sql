-- Rules for errors, connections that wait, and the log of failures: what the calls say.
CREATE EXTENSION pg_sluice;
SET search_path = sluice, public;
CREATE SERVER shop FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://api.example.com/v1');

SELECT set_error_rule('quota', '{"status": 200, "body": "$.error.code == ''quota''"}', 'retry_later', 'rate_limit',
                      hint => 'The quota is refilled at midnight.') AS id;
SELECT set_error_rule('maintenance', '{"status": "5xx", "header": {"name": "X-Maintenance"}}', 'pause_connection',
                      connection => 'shop', pause_for => '1 hour', priority => 10) AS id;
SELECT set_error_rule('busy trigger', '{"sqlstate": ["P0001", "55"]}', 'retry', 'database') AS id;
SELECT id, name, job, connection, priority, match, error_class, action, hint, pause_for FROM error_rules ORDER BY id;

-- The view takes rows, which are checked in the same way.
INSERT INTO error_rules (name, match, action) VALUES ('gone', '{"status": [404, "410-411"]}', 'ignore') RETURNING id, name;
UPDATE error_rules SET priority = 5, hint = 'Nothing is lost.' WHERE name = 'gone';
UPDATE error_rules SET name = 'absent' WHERE name = 'gone';
SELECT name, priority, hint, action FROM error_rules WHERE action = 'ignore';
DELETE FROM error_rules WHERE name = 'absent';
INSERT INTO error_rules (name, match, action) VALUES ('x', '{"status": "abc"}', 'fail');
SELECT set_error_rule('quota', '{"body": "$.error"}', 'fail') AS same_id;
SELECT name, match, error_class, action, hint FROM error_rules WHERE name = 'quota';

-- What means nothing.
SELECT set_error_rule(NULL, '{"status": 500}', 'fail');
SELECT set_error_rule('', '{"status": 500}', 'fail');
SELECT set_error_rule('x', NULL, 'fail');
SELECT set_error_rule('x', '[]', 'fail');
SELECT set_error_rule('x', '{}', 'fail');
SELECT set_error_rule('x', '{"stats": 500}', 'fail');
SELECT set_error_rule('x', '{"status": 600}', 'fail');
SELECT set_error_rule('x', '{"status": []}', 'fail');
SELECT set_error_rule('x', '{"header": {"value": "x"}}', 'fail');
SELECT set_error_rule('x', '{"header": {"nam": "x"}}', 'fail');
SELECT set_error_rule('x', '{"header": "X-Error"}', 'fail');
SELECT set_error_rule('x', '{"body": "error"}', 'fail');
SELECT set_error_rule('x', '{"body": "$.a ="}', 'fail');
SELECT set_error_rule('x', '{"sqlstate": "4000"}', 'fail');
SELECT set_error_rule('x', '{"sqlstate": "40", "status": 500}', 'fail');
SELECT set_error_rule('x', '{"sqlstate": "40"}', 'ignore');
SELECT set_error_rule('x', '{"status": 500}', 'explode');
SELECT set_error_rule('x', '{"status": 500}', 'retry_latr');
SELECT set_error_rule('x', '{"status": 500}', 'fail', 'sever');
SELECT set_error_rule('x', '{"status": 500}', 'fail', 'empty');
SELECT set_error_rule('x', '{"status": 500}', 'fail', job => 'nobody');
SELECT set_error_rule('x', '{"status": 500}', 'fail', connection => 'shp');
SELECT set_error_rule('x', '{"status": 500}', 'fail', job => 'a', connection => 'shop');
SELECT set_error_rule('x', '{"status": 500}', 'fail', pause_for => '1 hour');
SELECT set_error_rule('x', '{"status": 500}', 'pause_connection', pause_for => 'soon');
SELECT set_error_rule('x', '{"status": 500}', 'pause_connection', pause_for => '2 years');
SELECT set_error_rule('x', '{"status": 500}', 'fail', priority => NULL);
SELECT drop_error_rule('quote');
SELECT drop_error_rule(NULL);
SELECT drop_error_rule('quota');
DELETE FROM error_rules WHERE name = 'nobody';

-- Connections that wait.
SELECT pause_connection('shop', 'the remote moves', '2 hours');
SELECT name, state, pause_reason, paused_until > now() + interval '119 minutes' AS for_two_hours FROM sync_connections;
SELECT pause_connection('shop');
SELECT name, state, pause_reason, paused_until FROM sync_connections;
-- Its jobs wait with it.
CREATE TABLE public.products (id bigint PRIMARY KEY, sku text);
SET client_min_messages = warning;
SELECT create_job('products', 'shop', '/products', target => 'public.products', schedule => 'manual') > 0 AS made;
RESET client_min_messages;
SELECT data_type, status, next_run_at, error_message, action, hint FROM sync_status;
SELECT pause_connection('shop', 'the remote moves');
SELECT data_type, status, error_message FROM sync_status;
SELECT start_sync('products');
CALL sync('products');
SELECT force_sync_all();
SELECT retry_now('products');
SELECT drop_job('products');
SELECT resume_connection('shop');
SELECT resume_connection('shop');
SELECT resume_connection('shp');
SELECT resume_connection(NULL);
SELECT pause_connection('nobody');
SELECT pause_connection('shop', pause_for => '-1 h');
SELECT state FROM sync_connections;

-- What is said of a connection goes with it.
SELECT pause_connection('shop');
DROP SERVER shop;
SELECT name, connection FROM error_rules;

-- No failure yet.
SELECT * FROM sync_failure_logs;
SELECT * FROM explain_error(1);
SELECT * FROM explain_error(NULL);

SET ROLE pg_monitor;
SELECT name FROM sluice.error_rules;
DELETE FROM sluice.error_rules;
SELECT sluice.set_error_rule('x', '{"status": 500}', 'fail');
SELECT * FROM sluice.sync_failure_logs;
RESET ROLE;
