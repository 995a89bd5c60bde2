-- Secrets: what is accepted and refused. No function or view gives a value back.
SET client_min_messages = warning;
CREATE EXTENSION pg_sluice;
RESET client_min_messages;
SELECT sluice.set_secret('shop_token', 'hunter2', 'https://api.example.com');
SELECT sluice.set_secret('unbound', 'hunter2');
SELECT name, owner, origin, version FROM sluice.sync_secrets ORDER BY name;
SELECT sluice.set_secret('shop_token', 'hunter3');
SELECT name, owner, origin, version FROM sluice.sync_secrets WHERE name = 'shop_token';
SELECT sluice.set_secret(NULL, 'hunter2');
SELECT sluice.set_secret('shop_token', NULL);
SELECT sluice.set_secret('shop token', 'hunter2');
SELECT sluice.set_secret('shop_token', '');
SELECT sluice.set_secret('shop_token', E'hunter2\n');
SELECT sluice.set_secret('shop_token', 'hunter2', 'https://api.example.com/v1');
CREATE ROLE golden_secrets;
SELECT sluice.grant_secret('shop_token', 'golden_secrets');
SELECT sluice.grant_secret('unbound', 'golden_secrets');
SELECT sluice.grant_secret('nope', 'golden_secrets');
SELECT sluice.grant_secret('shop_token', 'golden_nobody');
SELECT sluice.drop_secret('nope');
SELECT sluice.drop_secret('shop_token', 'golden_nobody');
SELECT sluice.drop_secret('shop_token');
-- A connection whose secret is missing, or bound to another origin.
SELECT sluice.create_connection('shop', 'http://127.0.0.1:1', '{"auth": "bearer", "secret": "missing"}');
SELECT * FROM sluice.test_connection('shop');
SELECT sluice.set_secret('missing', 'hunter2', 'https://api.example.com');
SELECT * FROM sluice.test_connection('shop');
-- A secret that is kept elsewhere. A value that begins like a reference is a value.
SELECT sluice.set_secret_source('kept', 'hunter2');
SELECT sluice.set_secret_source('kept', 'file:secrets/../token');
SELECT sluice.set_secret_source('kept', 'file:/run/secrets/token');
SELECT sluice.set_secret_source('kept', 'vault:token');
SELECT sluice.set_secret_source('kept', 'command:/usr/bin/read-token shop');
SELECT sluice.set_secret('literal', 'file:/run/secrets/token');
SELECT name, source, version FROM sluice.sync_secrets ORDER BY name;
SELECT sluice.drop_secret(name) FROM sluice.sync_secrets WHERE name IN ('kept', 'literal');
-- Another role sees none of them.
SELECT sluice.grant_access('golden_secrets', 'writer');
SET ROLE golden_secrets;
SELECT count(*) FROM sluice.sync_secrets;
SELECT sluice.drop_secret('missing', 'postgres');
SELECT sluice.set_secret_source('kept', 'command:/usr/bin/read-token');
RESET ROLE;
SELECT sluice.revoke_access('golden_secrets');
DROP ROLE golden_secrets;
-- Without a key nothing can be sealed.
ALTER SYSTEM SET sluice.key_file = '/nowhere/pg_sluice.key';
SELECT pg_reload_conf();
-- The postmaster reads the file before it takes another session in.
\c
SELECT sluice.set_secret('late', 'hunter2');
ALTER SYSTEM RESET sluice.key_file;
SELECT pg_reload_conf();
