-- Reading below each row of a query: what is refused when it is given. No run starts here.
SET client_min_messages = warning;
CREATE EXTENSION pg_sluice;
SELECT sluice.create_connection('shop', 'http://127.0.0.1:1');
CREATE TABLE orders (id bigint PRIMARY KEY, shop text);
CREATE TABLE items (id bigint PRIMARY KEY, order_id bigint);
CREATE FUNCTION make(path text, settings jsonb, target text DEFAULT 'items') RETURNS bigint LANGUAGE sql
AS $$ SELECT sluice.create_job('items', 'shop', path, target => target, schedule => 'manual', key => '{id}', settings => settings) $$;
-- The shape.
SELECT make('/orders/{id}/items', '{"foreach": "SELECT 1"}');
SELECT make('/orders/{id}/items', '{"foreach": {}}');
SELECT make('/orders/{id}/items', '{"foreach": {"query": "SELECT id FROM orders"}}');
SELECT make('/orders/{id}/items', '{"columns": {"id": "$.id"}, "foreach": {"query": 7}}');
SELECT make('/orders/{id}/items', '{"columns": {"id": "$.id"}, "foreach": {"sql": "SELECT 1"}}');
SELECT make('/orders/{id}/items', '{"columns": {"id": "$.id"}, "foreach": {"query": "SELECT id FROM orders", "absent": "ignore"}}');
SELECT make('/orders/{id}/items', '{"columns": {"id": "$.id"}, "foreach": {"query": "SELECT id FROM orders", "timeout": 5}}');
SELECT make('/items', '{"columns": {"id": "$.id", "order_id": {"parent": "id"}}}');
SELECT make('/orders/{id}/items', '{"columns": {"id": "$.id", "of": {"parent": "id"}}, "pagination": {"type": "keyset", "param": "after", "column": "of"}, "foreach": {"query": "SELECT id FROM orders"}}');
SELECT make('/items', '{"columns": {"id": "$.id", "order_id": {"parent": "id", "path": "$.x"}}, "foreach": {"query": "SELECT id FROM orders"}}');
SELECT make('/orders/{id}/items', '{"columns": {"id": "$.id"}, "cursor": {"column": "id", "param": "since", "format": "text"}, "foreach": {"query": "SELECT id FROM orders"}}');
SELECT make('/orders/{id}/items', '{"columns": {"id": "$.id", "of": {"parent": "id"}}, "cursor": {"column": "of", "param": "since", "format": "text"}, "foreach": {"query": "SELECT id FROM orders"}}');
-- Its places.
SELECT make('/items', '{"columns": {"id": "$.id"}, "foreach": {"query": "SELECT id FROM orders"}}');
SELECT make('/orders/{id/items', '{"columns": {"id": "$.id"}, "foreach": {"query": "SELECT id FROM orders"}}');
SELECT make('/items', '{"columns": {"id": "$.id"}, "params": {"order": "{}"}, "foreach": {"query": "SELECT id FROM orders"}}');
SELECT make('/items', '{"columns": {"id": "$.id"}, "method": "POST", "body": {"query": "query { items { id } }", "of": "{ id }"}, "foreach": {"query": "SELECT id FROM orders"}}');
SELECT make('/items', '{"columns": {"id": "$.id"}, "method": "POST", "body": {"in": [{"order": "{number}"}]}, "foreach": {"query": "SELECT id FROM orders"}}');
-- Its query.
SELECT make('/orders/{id}/items', '{"columns": {"id": "$.id"}, "foreach": {"query": "SELECT id FROM orders; DROP TABLE orders"}}');
SELECT make('/orders/{id}/items', '{"columns": {"id": "$.id"}, "foreach": {"query": "SELECT id FROM orders) AS q; DROP TABLE orders; --"}}');
SELECT make('/orders/{id}/items', '{"columns": {"id": "$.id"}, "foreach": {"query": "DELETE FROM orders RETURNING id"}}');
SELECT make('/orders/{id}/items', '{"columns": {"id": "$.id"}, "foreach": {"query": "SELECT id INTO copy FROM orders"}}');
SELECT make('/orders/{id}/items', '{"columns": {"id": "$.id"}, "foreach": {"query": "SELECT id FROM orders FOR UPDATE"}}');
SELECT make('/orders/{id}/items', '{"columns": {"id": "$.id"}, "foreach": {"query": "WITH gone AS (DELETE FROM orders RETURNING id) SELECT id FROM gone"}}');
SELECT make('/orders/{id}/items', '{"columns": {"id": "$.id"}, "foreach": {"query": "SELECT id FROM order_s"}}');
SELECT make('/orders/{id}/items', '{"columns": {"id": "$.id"}, "foreach": {"query": "SELECT shop FROM orders"}}');
SELECT make('/orders/{id}/items', '{"columns": {"id": "$.id", "order_id": {"parent": "number"}}, "foreach": {"query": "SELECT id, shop FROM orders"}}');
-- Its table: made from what the first parent's collection has, unless a superuser would run the query for it.
SELECT make('/orders/{id}/items', '{"foreach": {"query": "SELECT id FROM orders"}}', 'elsewhere');
SELECT make('/orders/{id}/items', '{"owner": "nobody", "foreach": {"query": "SELECT id FROM orders"}}', 'elsewhere');
SELECT aspect FROM sluice.discover('shop', '/orders/{id}/items', '{"foreach": {"query": "SELECT id FROM orders"}}');
CREATE ROLE parents_owner;
SELECT sluice.grant_access('parents_owner', 'writer');
GRANT USAGE ON FOREIGN SERVER shop TO parents_owner;
CREATE SCHEMA parents_own AUTHORIZATION parents_owner;
SET ROLE parents_owner;
SELECT sluice.create_job('own', 'shop', '/orders/{id}/items', target => 'parents_own.items', schedule => 'manual', settings => '{"foreach": {"query": "SELECT 1 AS id WHERE false"}}');
SELECT sluice.create_job('own', 'shop', '/orders/{id}/items', target => 'parents_own.items', schedule => 'manual', settings => '{"foreach": {"query": "SELECT NULL AS id"}}');
SELECT aspect FROM sluice.discover('shop', '/orders/{id}/items', '{"foreach": {"query": "SELECT 1 AS id WHERE false"}}');
SELECT aspect FROM sluice.discover('shop', '/orders/{id}/items', '{"foreach": {"query": "SELECT 1 AS number"}}');
SELECT row FROM sluice.preview('shop', '/orders/{id}/items', settings => '{"foreach": {"query": "SELECT ''a/b'' AS id"}}');
SELECT row FROM sluice.preview('shop', '/items', settings => '{"foreach": {"query": "SELECT 1 AS id"}}');
CREATE TABLE parents_own.there (id int PRIMARY KEY);
SELECT row FROM sluice.preview('shop', '/orders/{id}/items', target => 'parents_own.there', settings => '{"foreach": {"query": "SELECT 1 AS id"}}');
CREATE TABLE parents_own.log (id int);
CREATE FUNCTION parents_own.sneak() RETURNS int LANGUAGE sql AS 'INSERT INTO parents_own.log VALUES (1) RETURNING id';
SELECT sluice.create_job('own', 'shop', '/orders/{id}/items', target => 'parents_own.items', schedule => 'manual', settings => '{"foreach": {"query": "SELECT parents_own.sneak() AS id"}}');
RESET ROLE;
DROP OWNED BY parents_owner;
DROP ROLE parents_owner;
SELECT make('/orders/{id}/items', '{"columns": {"id": "$.id", "order_id": {"parent": "id"}}, "foreach": {"query": "SELECT id FROM orders -- all"}}') > 0;
SELECT sluice.alter_job('items', path => '/orders/{number}/items');
SELECT sluice.alter_job('items', settings => '{"foreach": null}');
SELECT sluice.alter_job('items', settings => '{"columns": null}');
SELECT * FROM sluice.sync_parents;
SELECT count(*) FROM orders;
