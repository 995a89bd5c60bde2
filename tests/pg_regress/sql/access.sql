-- Who may do what: the grants of each level, and what roles without them meet.
SET client_min_messages = warning;
CREATE EXTENSION pg_sluice;
RESET client_min_messages;
CREATE ROLE golden_monitor;
CREATE ROLE golden_writer;
CREATE ROLE golden_operator;
CREATE ROLE golden_admin;
CREATE ROLE golden_nobody;
SELECT sluice.grant_access('golden_' || level, level) FROM unnest(ARRAY['monitor', 'writer', 'operator', 'admin']) AS level;
SELECT sluice.grant_access('golden_none', 'writer');
SELECT sluice.grant_access('golden_writer', 'god');
SELECT sluice.grant_access('golden_writer', NULL);
SELECT sluice.revoke_access('golden_none');
-- Nothing is given to everybody.
SELECT p.oid::regprocedure FROM pg_proc AS p WHERE p.pronamespace = 'sluice'::regnamespace AND has_function_privilege('golden_nobody', p.oid, 'EXECUTE');
SELECT c.oid::regclass FROM pg_class AS c WHERE c.relnamespace = 'sluice'::regnamespace AND c.relkind IN ('r', 'v', 'S') AND has_any_column_privilege('golden_nobody', c.oid, 'SELECT, INSERT, UPDATE, REFERENCES') ORDER BY 1;
-- The functions and procedures of each level (test builds have one more, which nobody is given).
SELECT p.oid::regprocedure AS routine,
       has_function_privilege('pg_monitor', p.oid, 'EXECUTE') AS pg_monitor,
       has_function_privilege('golden_monitor', p.oid, 'EXECUTE') AS monitor,
       has_function_privilege('golden_writer', p.oid, 'EXECUTE') AS writer,
       has_function_privilege('golden_operator', p.oid, 'EXECUTE') AS operator,
       has_function_privilege('golden_admin', p.oid, 'EXECUTE') AS admin
FROM pg_proc AS p WHERE p.pronamespace = 'sluice'::regnamespace AND p.proname <> '_failpoint' ORDER BY p.proname COLLATE "C", 1;
-- Tables and views.
SELECT c.oid::regclass AS relation,
       has_table_privilege('pg_monitor', c.oid, 'SELECT') AS pg_monitor,
       has_table_privilege('golden_monitor', c.oid, 'SELECT') AS monitor,
       has_table_privilege('golden_writer', c.oid, 'SELECT') AS writer,
       has_table_privilege('golden_operator', c.oid, 'SELECT') AS operator,
       has_table_privilege('golden_admin', c.oid, 'SELECT') AS admin
FROM pg_class AS c WHERE c.relnamespace = 'sluice'::regnamespace AND c.relkind IN ('r', 'v') ORDER BY c.relname COLLATE "C";
SELECT r.role, has_schema_privilege(r.role, 'sluice', 'USAGE') AS schema, has_foreign_data_wrapper_privilege(r.role, 'pg_sluice', 'USAGE') AS wrapper
FROM unnest(ARRAY['golden_nobody', 'pg_monitor', 'golden_monitor', 'golden_writer', 'golden_operator', 'golden_admin']) AS r (role);
-- Rows: a writer sees and changes its own jobs only.
SELECT sluice.create_connection('shop', 'http://127.0.0.1:1');
CREATE TABLE products (id bigint PRIMARY KEY);
SELECT sluice.create_job('products', 'shop', '/products', schedule => 'manual');
SET ROLE golden_writer;
SELECT count(*) FROM sluice.sync_jobs;
SELECT count(*) FROM sluice.sync_connections;
SELECT sluice.pause_job('products');
SELECT sluice.pause_job('product');
SELECT sluice.drop_job('products');
SELECT sluice.create_job('mine', 'shop', '/products', target => 'products');
CREATE SERVER other FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://h');
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER shop TO golden_writer;
CREATE SCHEMA closed;
GRANT USAGE ON SCHEMA closed TO golden_writer;
SET ROLE golden_writer;
SELECT sluice.create_job('mine', 'shop', '/products', target => 'closed.mine', key => '{id}');
SELECT sluice.create_job('mine', 'shop', '/products', target => 'products');
RESET ROLE;
SET ROLE golden_operator;
SELECT sluice.pause_job('products', 'an operator may');
SELECT sluice.resume_job('products');
SELECT sluice.alter_job('products', schedule => '1 hour');
SELECT sluice.arm();
RESET ROLE;
SET ROLE golden_monitor;
SELECT name FROM sluice.sync_jobs;
SELECT sluice.start_sync('products');
SELECT * FROM sluice._job;
RESET ROLE;
SET ROLE golden_nobody;
SELECT * FROM sluice.sync_status;
RESET ROLE;
SELECT sluice.revoke_access('golden_' || level) FROM unnest(ARRAY['monitor', 'writer', 'operator', 'admin']) AS level;
SELECT count(*) FROM pg_proc AS p WHERE p.pronamespace = 'sluice'::regnamespace AND has_function_privilege('golden_admin', p.oid, 'EXECUTE');
REVOKE USAGE ON FOREIGN SERVER shop FROM golden_writer;
DROP SCHEMA closed;
DROP ROLE golden_monitor, golden_writer, golden_operator, golden_admin, golden_nobody;
