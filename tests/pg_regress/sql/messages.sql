-- Refusals that no other file shows: each message that a definition or a call can meet stands in one of these files, which
-- tests/architecture/messages.rs holds them to.
SET client_min_messages = warning;
CREATE EXTENSION pg_sluice;
RESET client_min_messages;
CREATE SERVER shop FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://api.example.com/v1');
CREATE TABLE products (id bigint PRIMARY KEY, name text);
-- Base URLs.
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://api.example.com/#top');
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://api.example.com:0/');
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://api.example.com/100%');
SELECT sluice.create_connection('bad', 'https://api.example.com/' || repeat('x', 2048));
-- Paths.
SELECT sluice.create_job('p', 'shop', '/a%2fb', target => 'products');
SELECT sluice.create_job('p', 'shop', '/100%', target => 'products');
SELECT sluice.create_job('p', 'shop', '/a//b', target => 'products');
SELECT sluice.create_job('p', 'shop', '/a#b', target => 'products');
SELECT sluice.create_job('p', 'shop', '/' || repeat('x', 2048), target => 'products');
-- Settings.
SELECT sluice.create_job('p', 'shop', '/products', target => 'products', settings => '{"columns": {}}');
SELECT sluice.create_job('p', 'shop', '/products', target => 'products', settings => '{"columns": {"ctid": "$.id"}}');
SELECT sluice.create_job('p', 'shop', '/products', target => 'products', settings => '{"columns": {"a\tb": "$.id"}}');
SELECT sluice.create_job('p', 'shop', '/products', target => 'products', settings => '{"params": {"page": "2"}, "pagination": {"type": "page"}}');
-- Calls.
SELECT sluice.create_job('quiet', 'shop', '/products', target => 'products', schedule => 'manual');
SELECT sluice.retry_now('quiet');
DROP EXTENSION pg_sluice CASCADE;
