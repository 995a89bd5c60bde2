-- The run waits as it was told, and goes on.
CALL sluice.sync('products');
SELECT data_type, status, item_count, reason FROM sluice.sync_connection_health;
-- Every published run can be undone.
SELECT * FROM sluice.preview_rollback('products');
