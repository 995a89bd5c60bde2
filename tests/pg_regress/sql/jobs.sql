-- Jobs: every argument is checked when it is given. Nothing here needs an answer from a remote.
SET client_min_messages = warning;
CREATE EXTENSION pg_sluice;
RESET client_min_messages;
SELECT sluice.create_connection('shop', 'http://127.0.0.1:1');
CREATE TABLE products (id bigint PRIMARY KEY, sku text, name text);
CREATE TABLE keyless (id bigint, sku text);
CREATE VIEW looks AS SELECT 1::bigint AS id;
SELECT sluice.create_job('products', 'shop', '/products', schedule => 'manual', settings => '{"records": "$.data"}');
SELECT name, owner, run_as, connection, path, target, mode, key, schedule, priority, settings, enabled, armed, next_run_at FROM sluice.sync_jobs;
SELECT data_type, status, percent, rate, eta, next_run_at, error_message, action FROM sluice.sync_status;
-- Arguments that are missing or wrong.
SELECT sluice.create_job(NULL, 'shop', '/products');
SELECT sluice.create_job('p', NULL, '/products');
SELECT sluice.create_job('p', 'shop', '/products', settings => NULL);
SELECT sluice.create_job('', 'shop', '/products');
SELECT sluice.create_job('products', 'shop', '/products');
SELECT sluice.create_job('p', 'shap', '/products');
SELECT sluice.create_job('p', 'shop', '/a/../b');
SELECT sluice.create_job('p', 'shop', 'https://other.example/products');
SELECT sluice.create_job('p', 'shop', '/products?page=1');
SELECT sluice.create_job('p', 'shop', '/products', mode => 'replce');
SELECT sluice.create_job('p', 'shop', '/products', mode => 'append');
SELECT sluice.create_job('p', 'shop', '/products', schedule => 'often');
SELECT sluice.create_job('p', 'shop', '/products', schedule => '*/5 * * * *');
SELECT sluice.create_job('p', 'shop', '/products', schedule => 'adaptive');
SELECT sluice.create_job('p', 'shop', '/products', priority => 'urgent');
-- Targets and keys.
SELECT sluice.create_job('p', 'shop', '/products', target => 'a b');
SELECT sluice.create_job('p', 'shop', '/products', target => 'q(a/**/int);DROP/**/TABLE/**/products;--');
SELECT sluice.create_job('p', 'shop', '/products', target => 'looks', key => '{id}');
SELECT sluice.create_job('p', 'shop', '/products', target => 'keyless');
SELECT sluice.create_job('p', 'shop', '/products', target => 'keyless', key => '{id}');
SELECT sluice.create_job('p', 'shop', '/products', target => 'products', key => '{nope}');
SELECT sluice.create_job('p', 'shop', '/products', target => 'products', key => '{}');
SELECT sluice.create_job('p', 'shop', '/products', target => 'products', key => '{id,id}');
SELECT sluice.create_job('p', 'shop', '/products', target => 'products', key => '{NULL}');
-- A table that could not be made is told before the remote is asked.
SELECT sluice.create_job('p', 'shop', '/products', target => 'nosuch.p', key => '{id}');
SET search_path = nosuch;
SELECT sluice.create_job('p', 'shop', '/products', key => '{id}');
RESET search_path;
-- Two jobs may write one table; what that means is told where one of them removes rows.
SELECT sluice.create_job('again', 'shop', '/products', target => 'products', mode => 'upsert', schedule => 'manual');
SELECT sluice.alter_job('products', mode => 'upsert');
SELECT sluice.create_job('third', 'shop', '/products', target => 'products', mode => 'upsert', schedule => 'manual');
SELECT sluice.drop_job('third');
SELECT sluice.alter_job('products', mode => 'replace');
SELECT sluice.drop_job('again');
-- A table that is to be made asks the remote, and nothing is left behind where it does not answer.
SELECT sluice.create_job('p', 'shop', '/products', key => '{id}');
-- Settings.
SELECT sluice.create_job('p', 'shop', '/products', settings => '{"recrods": "$.data"}');
SELECT sluice.create_job('p', 'shop', '/products', settings => '["records"]');
SELECT sluice.create_job('p', 'shop', '/products', settings => '{"records": "$.data[*].item"}');
SELECT sluice.create_job('p', 'shop', '/products', settings => '{"concurrency": 76}');
SELECT sluice.create_job('p', 'shop', '/products', settings => '{"timeouts": {"reqest": "5 s"}}');
SELECT sluice.create_job('p', 'shop', '/products', settings => '{"timeouts": {"request": 5}}');
SELECT sluice.create_job('p', 'shop', '/products', settings => '{"pagination": {"type": "pages"}}');
SELECT sluice.create_job('p', 'shop', '/products', settings => '{"pagination": {"type": "cursor"}}');
SELECT sluice.create_job('p', 'shop', '/products', settings => '{"pagination": {"type": "cursor", "next": "$.a[*]"}}');
SELECT sluice.create_job('p', 'shop', '/products', settings => '{"pagination": {"type": "keyset", "column": "id"}}');
SELECT sluice.create_job('p', 'shop', '/products', settings => '{"pagination": {"type": "keyset", "param": "after"}}');
SELECT sluice.create_job('p', 'shop', '/products', settings => '{"columns": {"id": "$.id"}, "pagination": {"type": "keyset", "param": "after", "column": "nr"}}');
SELECT sluice.create_job('p', 'shop', '/products', settings => '{"page_size": 50}');
SELECT sluice.create_job('p', 'shop', '/products', settings => '{"cursor": {"column": "updated_at"}}');
SELECT sluice.create_job('p', 'shop', '/products', settings => '{"cursor": {"column": "at", "param": "since"}}');
SELECT sluice.create_job('p', 'shop', '/products', mode => 'upsert', settings => '{"cursor": {"column": "at", "param": "since", "format": "unix"}}');
SELECT sluice.create_job('p', 'shop', '/products', mode => 'upsert', settings => '{"cursor": {"column": "at", "param": "since", "format": "text", "lookback": "1 h"}}');
SELECT sluice.create_job('p', 'shop', '/products', mode => 'upsert', settings => '{"params": {"since": 1}, "cursor": {"column": "at", "param": "since"}}');
SELECT sluice.create_job('p', 'shop', '/products', mode => 'upsert', settings => '{"cursor": {"column": "at", "param": "since", "template": "at ge 1"}}');
SELECT sluice.create_job('p', 'shop', '/products', settings => '{"headers": {"Authorization": "Bearer hunter2"}}');
SELECT sluice.create_job('p', 'shop', '/products', settings => '{"params": {"api_key": "hunter2"}}');
-- Changing a job.
SELECT sluice.alter_job('product', schedule => '1 hour');
SELECT sluice.alter_job(NULL, schedule => '1 hour');
SELECT sluice.alter_job('products', settings => '["records"]');
SELECT sluice.alter_job('products', settings => '{"recrods": "$.data"}');
SELECT sluice.alter_job('products', key => '{sku}');
SELECT sluice.alter_job('products', connection => 'shap');
SELECT sluice.alter_job('products', path => '/v2/products', settings => '{"records": null, "max_shrink": 0.2}');
SELECT path, settings FROM sluice.sync_jobs;
-- Renamed objects are followed.
ALTER SERVER shop RENAME TO store;
ALTER TABLE products RENAME TO goods;
SELECT connection, target FROM sluice.sync_jobs;
SELECT sluice.drop_connection('store');
-- A job whose connection is dropped rests.
DROP SERVER store;
SELECT name, enabled, pause_reason FROM sluice.sync_jobs;
SELECT data_type, status, percent, rate, eta, next_run_at, error_message, action FROM sluice.sync_status;
SELECT error_class, hint FROM sluice.sync_status;
SELECT data_type, status, reason FROM sluice.sync_connection_health;
SELECT sluice.resume_job('products');
SELECT sluice.create_connection('again', 'http://127.0.0.1:1');
SELECT sluice.alter_job('products', connection => 'again');
SELECT sluice.resume_job('products');
SELECT data_type, status, action FROM sluice.sync_status;
SELECT sluice.drop_job('product');
SELECT sluice.drop_job('products', drop_target => true);
SELECT to_regclass('goods');
