-- Changed rows are updated at once; a missing row goes when two complete reads in a row did not have it.
CALL sluice.sync('products');
CALL sluice.sync('products');
SELECT id, status, inserted, updated, deleted, unchanged FROM sluice.sync_runs ORDER BY id;
