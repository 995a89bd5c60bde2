-- optimize_sync: what is refused, and each thing that it says. No run starts here: how runs went is written by hand.
SET client_min_messages = warning;
CREATE EXTENSION pg_sluice;
RESET client_min_messages;
SELECT sluice.create_connection('shop', 'http://127.0.0.1:1');
CREATE TABLE products (id bigint PRIMARY KEY);
SELECT sluice.create_job('products', 'shop', '/products', schedule => 'manual', settings => '{"page_size": 100, "pagination": {"type": "page", "size_param": "per_page"}}');
SELECT sluice.pause_job('products');
-- Arguments.
SELECT * FROM sluice.optimize_sync('product');
SELECT * FROM sluice.optimize_sync('products', NULL);
-- Too few runs; each that succeeded and read something counts.
SELECT * FROM sluice.optimize_sync();
CREATE FUNCTION pg_temp.ran(first int, last int, size int, ms float, concurrency int, changed int, status text = 'succeeded') RETURNS void
LANGUAGE sql AS $$
INSERT INTO sluice._run (id, job_id, source, requested_by, status, pages, records, updated) OVERRIDING SYSTEM VALUE
SELECT n, id, 'manual', 'app', status, 1000 / size, 1000, changed FROM generate_series(first, last) AS n, sluice._job;
INSERT INTO sluice._run_pace (run_id, requests, retries, p50_ms, p95_ms, page_size, concurrency)
SELECT n, 1000 / size, 0, ms / 2, ms, size, concurrency FROM generate_series(first, last) AS n;
$$;
SELECT pg_temp.ran(1, 4, 100, 100, 8, 10), pg_temp.ran(5, 6, 100, 100, 8, 10, 'failed');
SELECT * FROM sluice.optimize_sync();
-- One size, a schedule that is no interval, a concurrency that was used.
SELECT pg_temp.ran(7, 8, 100, 100, 8, 10);
SELECT * FROM sluice.optimize_sync('products');
-- A larger size is better, a larger one yet is not, and the host took less at a time.
SELECT sluice.alter_job('products', schedule => '1 hour');
SELECT pg_temp.ran(11, 12, 200, 150, 3, 0), pg_temp.ran(13, 14, 500, 900, 2, 0), pg_temp.ran(15, 18, 50, 100, 5, 0);
SELECT * FROM sluice.optimize_sync('products');
SELECT * FROM sluice.optimize_sync('products', apply => true);
SELECT schedule, settings FROM sluice.sync_jobs;
-- It is as proposed: nothing to change, nothing is done.
SELECT * FROM sluice.optimize_sync('products', apply => true);
-- Not while a run is open, or waits for a person.
SELECT sluice.alter_job('products', settings => '{"page_size": 50}');
UPDATE sluice._run SET status = 'held' WHERE id = 18;
SELECT what, proposed, reason, applied FROM sluice.optimize_sync('products', apply => true) WHERE proposed IS NOT NULL;
DELETE FROM sluice._run WHERE id = 18;
-- Sizes that adapt by themselves.
SELECT sluice.alter_job('products', settings => '{"page_size": {"min": 50, "max": 200}, "pagination": {"type": "offset", "limit_param": "limit"}}');
SELECT * FROM sluice.optimize_sync('products', apply => true) WHERE what = 'page_size';
SELECT pg_temp.ran(21, 25, 200, 100, 8, 0);
SELECT * FROM sluice.optimize_sync('products', apply => true) WHERE what = 'page_size';
SELECT pg_temp.ran(26, 30, 50, 100, 8, 0);
SELECT * FROM sluice.optimize_sync('products', apply => true) WHERE what = 'page_size';
SELECT settings -> 'page_size' FROM sluice.sync_jobs;
