-- Payloads of webhooks: what is refused when it is sent, and what the queue shows. No run starts here.
SET client_min_messages = warning;
CREATE EXTENSION pg_sluice;
SELECT sluice.create_connection('shop', 'http://127.0.0.1:1');
CREATE TABLE products (id bigint PRIMARY KEY, sku text);
SELECT sluice.create_job('products', 'shop', '/products', schedule => 'manual') > 0;
RESET client_min_messages;
SELECT sluice.ingest('product', '{"id": 1}');
SELECT sluice.ingest(NULL, '{"id": 1}');
SELECT sluice.ingest('products', NULL);
SELECT sluice.ingest('products', '1');
SELECT sluice.ingest('products', '"id"');
SELECT sluice.ingest('products', 'null');
SELECT sluice.ingest('products', jsonb_build_object('id', 1, 'sku', repeat('x', 17000000)));
SELECT sluice.pause_job('products');
SELECT sluice.ingest('products', '{"id": 1, "price": 12345678901234567890.10}');
SELECT data_type, status, queued_by, bytes, attempts, retry_at, waits_for, payload FROM sluice.sync_ingest;
-- A queue that nobody looks at is full one day.
INSERT INTO sluice._ingest (job_id, payload, bytes, queued_by) SELECT job_id, '{}', 2, 'app' FROM sluice._ingest, generate_series(1, 9999);
SELECT sluice.ingest('products', '{"id": 2}');
SELECT sluice.drop_ingest('products');
SELECT sluice.retry_ingest('products');
SELECT sluice.drop_ingest('product');
SELECT sluice.retry_ingest(NULL);
