-- As app: a job binds a collection to a table, and its first run makes the table.
SELECT sluice.create_job('products', 'shop', '/page/products', key => '{id}', settings => '{
  "records": "$.data", "page_size": 1000,
  "pagination": {"type": "page", "param": "page", "size_param": "per_page", "total": "$.meta.total"}}');
CALL sluice.sync('products');
SELECT count(*), min(price), max(price) FROM products;
SELECT data_type, status, pages_total, records_processed, action FROM sluice.sync_status;
-- Nothing has changed: nothing is written.
CALL sluice.sync('products');
SELECT id, status, pages, inserted, updated, deleted, unchanged FROM sluice.sync_runs ORDER BY id;
