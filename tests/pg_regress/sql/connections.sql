-- Connections: what the validator and the calls for applications accept and refuse. No value that could be a credential
-- is ever shown again.
SET client_min_messages = warning;
CREATE EXTENSION pg_sluice;
RESET client_min_messages;
CREATE SERVER shop FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://api.example.com/v1');
SELECT sluice.create_connection('crm', 'https://crm.example.com', '{"auth": "basic", "username": "u", "secret": "crm_password"}');
SELECT name, owner, origin, auth, state FROM sluice.sync_connections ORDER BY name;
-- Options that are not right.
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice;
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'ftp://api.example.com');
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_ur 'https://api.example.com');
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://api.example.com/a/../b');
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://h', auth 'baerer');
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://h', auth 'bearer');
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://h', username 'u');
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://h', auth 'oauth2_device');
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://h', allow_push 'on');
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://h', max_concurrency '76');
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://h', requests_per_second 'many');
ALTER SERVER shop OPTIONS (ADD plain_http 'perhaps');
ALTER SERVER shop OPTIONS (SET base_url 'not a url');
-- What may be a credential.
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://user:hunter2@h');
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://h?key=hunter2');
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://h', token 'hunter2');
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://h', auth 'bearer', secret 'hunter 2!');
SELECT sluice.create_connection('bad', 'https://h', '{"password": "hunter2"}');
-- Certificates are text, and keys are secrets.
\set pem `cat src/fetch/tests/fetch/tls/certificate.pem`
\set key `cat src/fetch/tests/fetch/tls/key.pem`
CREATE SERVER mutual FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://127.0.0.1:1', ca :'pem', client_cert :'pem', client_key 'mutual_key');
SELECT sluice.set_secret('mutual_key', 'hunter2');
SELECT check_name, detail, hint FROM sluice.test_connection('mutual') WHERE NOT ok;
SELECT sluice.set_secret('mutual_key', :'key');
SELECT check_name FROM sluice.test_connection('mutual') WHERE NOT ok;
ALTER SERVER mutual OPTIONS (SET ca '/etc/ssl/ca.pem');
ALTER SERVER mutual OPTIONS (SET ca E'-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----');
ALTER SERVER mutual OPTIONS (SET client_cert :'key');
ALTER SERVER mutual OPTIONS (SET client_key :'key');
ALTER SERVER mutual OPTIONS (DROP client_key);
ALTER SERVER mutual OPTIONS (DROP client_cert);
ALTER SERVER mutual OPTIONS (SET base_url 'http://127.0.0.1:1');
-- Only servers take options, and nothing else is made of them.
ALTER FOREIGN DATA WRAPPER pg_sluice OPTIONS (ADD base_url 'https://h');
CREATE USER MAPPING FOR postgres SERVER shop OPTIONS (password 'hunter2');
CREATE FOREIGN TABLE products (id bigint) SERVER shop;
-- The calls.
SELECT sluice.create_connection('shop', 'https://h');
SELECT sluice.create_connection('', 'https://h');
SELECT sluice.create_connection('x', 'https://h', '["auth"]');
SELECT sluice.create_connection('x', 'https://h', '{"base_url": "https://i"}');
SELECT sluice.drop_connection('shap');
SELECT sluice.drop_connection('crm');
-- What needs no network: a name that leads elsewhere, an address that is refused, a port that is closed.
SELECT * FROM sluice.test_connection('nope', '/');
SELECT * FROM sluice.test_connection('shop', '/../other');
SELECT * FROM sluice.test_connection('shop', 'https://other.example/');
SELECT sluice.create_connection('metadata', 'https://169.254.169.254');
SELECT * FROM sluice.test_connection('metadata');
SELECT sluice.create_connection('private', 'https://10.0.0.1');
SELECT * FROM sluice.test_connection('private');
SELECT sluice.create_connection('closed', 'http://127.0.0.1:1');
SELECT * FROM sluice.test_connection('closed');
-- A burst is one of a rate.
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://h', burst '10');
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://h', requests_per_second '5', burst '0');
