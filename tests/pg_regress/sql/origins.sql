-- Origins that an admin allows once: patterns, who may, and what the validator says.
SET client_min_messages = warning;
CREATE EXTENSION pg_sluice;
RESET client_min_messages;
CREATE ROLE golden_store;
CREATE ROLE golden_tenant IN ROLE golden_store;
SELECT sluice.grant_access('golden_tenant', 'writer');
-- What is no pattern.
SELECT sluice.allow_origin(NULL, 'golden_store');
SELECT sluice.allow_origin('https://api.example.com', NULL);
SELECT sluice.allow_origin('https://api.example.com', 'golden_stores');
SELECT sluice.allow_origin('*', 'golden_store');
SELECT sluice.allow_origin('https://*.com', 'golden_store');
SELECT sluice.allow_origin('api.example.com', 'golden_store');
SELECT sluice.allow_origin('https://user@api.example.com', 'golden_store');
SELECT sluice.allow_origin('https://api.example.com/v1', 'golden_store');
SELECT sluice.allow_origin('https://api.example.com?x', 'golden_store');
SELECT sluice.allow_origin('https://api.example.com.', 'golden_store');
SELECT sluice.allow_origin('https://127.1', 'golden_store');
-- Kept in one form, and given once.
SELECT sluice.allow_origin('HTTPS://*.Stores.example:443/', 'golden_store');
SELECT sluice.allow_origin('https://*.stores.example', 'golden_store');
SELECT pattern, role, valid, allowed_by FROM sluice.sync_allowed_origins;
-- A member of the role makes a connection below it; the name itself, another scheme, port or ending is no part of it.
SET ROLE golden_tenant;
SELECT sluice.create_connection('mine', 'https://anna.stores.example/api', '{"auth": "bearer", "secret": "token"}');
SELECT name, owner, origin FROM sluice.sync_connections;
SELECT sluice.create_connection('bad', 'https://stores.example');
SELECT sluice.create_connection('bad', 'https://evilstores.example');
SELECT sluice.create_connection('bad', 'https://anna.stores.example.evil.org');
SELECT sluice.create_connection('bad', 'https://anna.stores.example:8443');
SELECT sluice.create_connection('bad', 'http://anna.stores.example');
ALTER SERVER mine OPTIONS (SET base_url 'https://evil.example');
ALTER SERVER mine OPTIONS (SET base_url 'https://bert.stores.example', ADD requests_per_second '5');
-- The statement itself needs USAGE on the wrapper, which is for admins.
CREATE SERVER other FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://anna.stores.example');
SELECT sluice.allow_origin('https://evil.example', 'golden_tenant');
SELECT pattern, role FROM sluice.sync_allowed_origins;
RESET ROLE;
-- Taken back: the connection stays and can be changed no more, but by somebody who may.
SELECT sluice.revoke_origin('https://*.other.example', 'golden_store');
SELECT sluice.revoke_origin('https://*.stores.example', 'golden_store');
SET ROLE golden_tenant;
ALTER SERVER mine OPTIONS (SET requests_per_second '6');
SELECT * FROM sluice.test_connection('mine');
SELECT sluice.drop_connection('mine');
RESET ROLE;
SELECT sluice.revoke_access('golden_tenant');
DROP ROLE golden_tenant, golden_store;
