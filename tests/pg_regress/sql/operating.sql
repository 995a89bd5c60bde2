-- Operating jobs: what is refused, and what each refusal says. No run starts here.
SET client_min_messages = warning;
CREATE EXTENSION pg_sluice;
RESET client_min_messages;
SELECT sluice.create_connection('shop', 'http://127.0.0.1:1');
CREATE TABLE products (id bigint PRIMARY KEY, sku text);
SELECT sluice.create_job('products', 'shop', '/products', schedule => 'manual');
SELECT sluice.pause_job('products', 'maintenance');
SELECT data_type, status, percent, rate, eta, next_run_at, error_message, action FROM sluice.sync_status;
SELECT sluice.start_sync('products');
CALL sluice.sync('products');
SELECT sluice.force_sync_all();
SELECT sluice.stop_sync('products');
SELECT sluice.stop_sync();
SELECT sluice.resume_job('products');
-- Names that are not there.
SELECT sluice.start_sync('product');
SELECT sluice.start_sync(NULL);
SELECT sluice.stop_sync('product');
SELECT sluice.pause_job('product');
SELECT sluice.resume_job('product');
CALL sluice.sync('product');
CALL sluice.sync(NULL);
SELECT sluice.get_sync_status('product');
SELECT (sluice.get_sync_status() -> 'scheduler') - 'is_running';
SELECT sluice.get_sync_status('products') -> 'jobs' -> 0 ->> 'status';
-- A page to start at lies within what the ledger proves of the read in progress.
SELECT sluice.start_sync('products', 0);
SELECT sluice.start_sync('products', 3);
UPDATE sluice._job_state SET reading = true, definition = 'x', page_number = 6;
SELECT sluice.start_sync('products', 7);
UPDATE sluice._job_state SET direct = true;
SELECT sluice.start_sync('products', 3);
UPDATE sluice._job SET mode = 'append';
SELECT sluice.start_sync('products', 1);
UPDATE sluice._job SET mode = 'replace', settings = '{"deleted_when": "@.gone"}';
UPDATE sluice._job_state SET direct = false;
SELECT sluice.start_sync('products', 3);
UPDATE sluice._job SET settings = '{}';
UPDATE sluice._job_state SET reading = false, definition = NULL, page_number = 1;
-- Procedures commit, so they cannot be part of a transaction.
BEGIN;
CALL sluice.sync('products');
ROLLBACK;
BEGIN;
CALL sluice.rollback_to('products');
ROLLBACK;
BEGIN;
CALL sluice.approve(1);
ROLLBACK;
BEGIN;
CALL sluice.create_snapshot('products', 'a copy');
ROLLBACK;
BEGIN;
CALL sluice.restore_snapshot(1);
ROLLBACK;
BEGIN;
CALL sluice.replay(1);
ROLLBACK;
-- Nothing to copy from, nothing to put back.
CALL sluice.create_snapshot('product', 'a copy');
CALL sluice.create_snapshot('products', NULL);
CALL sluice.restore_snapshot(1);
CALL sluice.restore_snapshot(NULL);
SELECT sluice.drop_snapshot(1);
SELECT sluice.drop_snapshot(NULL);
CALL sluice.replay(1);
CALL sluice.replay(NULL);
SELECT * FROM sluice.sync_snapshots;
-- A run that published nothing, and a snapshot of a column that has another type by now.
INSERT INTO sluice._run (id, job_id, source, requested_by, status) OVERRIDING SYSTEM VALUE
SELECT 900, id, 'manual', 'app', 'failed' FROM sluice._job WHERE name = 'products';
INSERT INTO sluice._snapshot (id, job_id, label, made_by, columns, types, mapped, key, position, created_by)
SELECT 900, id, 'a copy', 900, '{id}', '{text}', '{id}', '{id}', '{}', 'app' FROM sluice._job WHERE name = 'products';
CALL sluice.replay(900);
-- Nor one of a job that follows changes.
UPDATE sluice._job SET mode = 'upsert' WHERE name = 'products';
CALL sluice.replay(900);
UPDATE sluice._job SET mode = 'replace' WHERE name = 'products';
CALL sluice.restore_snapshot(900);
SELECT id, data_type, label, restorable, obstacle FROM sluice.sync_snapshots;
SELECT sluice.drop_snapshot(900);
DELETE FROM sluice._run WHERE id = 900;
-- Nothing to decide, nothing to undo.
CALL sluice.approve(1);
CALL sluice.approve(NULL);
SELECT sluice.discard(1);
SELECT * FROM sluice.preview_rollback('products');
SELECT * FROM sluice.preview_rollback('products', 1);
SELECT * FROM sluice.preview_rollback('product');
CALL sluice.rollback_to('products');
CALL sluice.rollback_to('products', 1);
CALL sluice.rollback_to(NULL);
SELECT * FROM sluice.sync_runs;
-- A job that is not armed here.
UPDATE sluice._job SET armed_system = 0;
SELECT data_type, status, percent, rate, eta, next_run_at, error_message, action FROM sluice.sync_status;
SELECT sluice.start_sync('products');
-- An SQLSTATE of our own can be caught by its code.
DO $$ BEGIN PERFORM sluice.start_sync('products'); EXCEPTION WHEN SQLSTATE 'SY009' THEN RAISE NOTICE 'not armed'; END $$;
SELECT sluice.arm();
SELECT sluice.arm();
SELECT data_type, status, percent, rate, eta, next_run_at, error_message, action FROM sluice.sync_status;
