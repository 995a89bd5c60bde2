-- Looks before a job is made: what is refused without asking a remote, and plans from documents.
SET client_min_messages = warning;
CREATE EXTENSION pg_sluice;
RESET client_min_messages;
SELECT sluice.create_connection('closed', 'http://127.0.0.1:1');
CREATE ROLE look_writer;
SELECT sluice.grant_access('look_writer', 'writer');
-- discover
SELECT * FROM sluice.discover('nope', '/products');
SELECT * FROM sluice.discover('closed', '/../products');
SELECT * FROM sluice.discover('closed', '/products?page=1');
SELECT * FROM sluice.discover('closed', '/products', '{"page_size": 0}');
SELECT * FROM sluice.discover('closed', NULL);
SELECT * FROM sluice.discover('closed', '/products');
-- preview
SELECT * FROM sluice.preview('nope', '/products');
SELECT * FROM sluice.preview('closed', '/products', max_records => 0);
SELECT * FROM sluice.preview('closed', '/products', max_records => NULL);
SELECT * FROM sluice.preview('closed', '/products', target => 'nowhere.products');
SELECT * FROM sluice.preview('closed', '/products', settings => '{"pagination": {"type": "pages"}}');
SELECT * FROM sluice.preview('closed', '/products', key => ARRAY[NULL]);
SELECT * FROM sluice.preview('closed', '/products');
-- Without USAGE.
SET ROLE look_writer;
SELECT * FROM sluice.discover('closed', '/products');
SELECT * FROM sluice.preview('closed', '/products');
RESET ROLE;
-- plan_from_openapi
SELECT * FROM sluice.plan_from_openapi(NULL);
SELECT * FROM sluice.plan_from_openapi('{"swagger": "1.2"}');
SELECT * FROM sluice.plan_from_openapi((repeat('[', 1000) || repeat(']', 1000))::jsonb);
\x on
SELECT * FROM sluice.plan_from_openapi('{"openapi": "3.1.0", "info": {"title": "Shop API"},
  "servers": [{"url": "https://{region}.example.com/v1", "variables": {"region": {"default": "eu"}}}],
  "security": [{"token": []}],
  "components": {
    "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
    "schemas": {"Product": {"type": "object", "properties": {
      "id": {"type": "integer", "format": "int64"}, "price": {"type": ["number", "null"]},
      "updated_at": {"type": "string", "format": "date-time"}, "tags": {"type": "array", "items": {"type": "string"}}}}}},
  "paths": {
    "/products": {"get": {"operationId": "listProducts",
      "parameters": [{"name": "page", "in": "query"}, {"name": "per_page", "in": "query", "schema": {"maximum": 200}}],
      "responses": {"200": {"content": {"application/json": {"schema": {"type": "object", "properties": {
        "data": {"type": "array", "items": {"$ref": "#/components/schemas/Product"}},
        "meta": {"type": "object", "properties": {"total": {"type": "integer"}}}}}}}}}}},
    "/products/{id}": {"get": {"responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Product"}}}}}}},
    "/shops/{shop}/products": {"get": {"responses": {"200": {"content": {"application/json": {"schema":
      {"type": "array", "items": {"$ref": "#/components/schemas/Product"}}}}}}}}}}');
\x off
-- Who may.
SELECT p.proname, has_function_privilege('look_writer', p.oid, 'EXECUTE')
FROM pg_proc p WHERE p.pronamespace = 'sluice'::regnamespace
AND p.proname IN ('discover', 'preview', '_preview', 'plan_from_openapi', '_plan_from_openapi') ORDER BY 1;
DROP OWNED BY look_writer;
DROP ROLE look_writer;
