SELECT sluice.create_job('tags', 'github', '/repos/postgres/postgres/tags', key => '{name}', schedule => '1 hour', settings => '{
  "params": {"per_page": "100"}, "pagination": {"type": "link_header"},
  "columns": {"name": "$.name", "commit": "$.commit.sha"}}');
CALL sluice.sync('tags');
SELECT count(*) FROM tags;
SELECT name, left(commit, 12) AS commit FROM tags WHERE name ~ '^REL_15' ORDER BY name DESC LIMIT 5;
CALL sluice.sync('tags');
SELECT id, status, pages, inserted, updated, unchanged FROM sluice.sync_runs ORDER BY id;
