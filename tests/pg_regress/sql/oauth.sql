-- OAuth 2: which options each kind takes, and what begin_oauth and finish_oauth refuse. No network is needed.
SET client_min_messages = warning;
CREATE EXTENSION pg_sluice;
RESET client_min_messages;
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://h', auth 'oauth2_client_credentials');
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://h', auth 'oauth2_client_credentials', token_url 'https://a/t', client_id 'c');
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://h', auth 'oauth2_client_credentials', token_url 'https://a/t', client_id 'c', client_secret 'hunter 2!');
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://h', auth 'oauth2_authorization_code', token_url 'https://a/t', client_id 'c');
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://h', auth 'oauth2_device', token_url 'https://a/t', client_id 'c');
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://h', auth 'oauth2_device', token_url 'https://u:hunter2@a/t', client_id 'c', device_url 'https://a/d');
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://h', auth 'oauth2_device', token_url 'https://a/t', client_id 'c', device_url 'https://a/d', authorization_url 'https://a/a');
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://h', auth 'oauth2_device', token_url 'https://a/t', client_id 'c', device_url 'https://a/d', client_auth 'jwt');
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://h', auth 'oauth2_client_credentials', token_url 'https://a/t', client_id 'c', client_auth 'private_key_jwt');
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://h', auth 'oauth2_client_credentials', token_url 'https://a/t', client_id 'c', client_auth 'tls');
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://h', auth 'oauth2_client_credentials', token_url 'https://a/t', client_id 'c', client_secret 'x', client_key_id 'k');
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://h', auth 'oauth2_device', token_url 'https://a/t', client_id 'c', device_url 'https://a/d', token_body 'xml');
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://h', auth 'oauth2_device', token_url 'https://a/t', client_id 'c', device_url 'https://a/d', token_path '$..a');
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://h', auth 'oauth2_device', token_url 'https://a/t', client_id '', device_url 'https://a/d');
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://h', auth 'bearer', secret 's', scope 'read');
CREATE SERVER bad FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://h', auth 'oauth2_authorization_code', token_url 'https://a/t', client_id 'c', authorization_url 'https://a/a?access_token=hunter2');
-- What can be connected, and how.
CREATE SERVER crm FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://api.example.com', auth 'oauth2_authorization_code',
    token_url 'https://auth.example.com/token', authorization_url 'https://auth.example.com/authorize?prompt=consent', client_id 'c', scope 'read');
CREATE SERVER tv FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://api.example.com', auth 'oauth2_device',
    token_url 'https://auth.example.com/token', device_url 'https://auth.example.com/device', client_id 'c');
CREATE SERVER plain FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://api.example.com');
SELECT name, auth, state, token_expires_at, error_message FROM sluice.sync_connections ORDER BY name;
SELECT regexp_replace(sluice.begin_oauth('crm', 'https://app.example.com/cb'), '(state|code_challenge)=[^&]*', '\1=…', 'g');
SELECT name, auth, state, token_expires_at, error_message FROM sluice.sync_connections ORDER BY name;
SELECT * FROM sluice.test_connection('crm');
SELECT sluice.begin_oauth('crm');
SELECT sluice.begin_oauth('crm', '/cb');
SELECT sluice.begin_oauth('crm', 'javascript:alert(1)');
SELECT sluice.begin_oauth(NULL);
SELECT sluice.begin_oauth('plain');
SELECT sluice.begin_oauth('nope');
SELECT sluice.finish_oauth('tv', 'https://app.example.com/cb?code=a&state=b');
SELECT sluice.finish_oauth('plain', 'https://app.example.com/cb?code=a&state=b');
SELECT sluice.finish_oauth('crm', 'https://app.example.com/cb?code=hunter2&state=b');
SELECT sluice.finish_oauth('crm', 'https://app.example.com/cb?code=hunter2');
SELECT sluice.finish_oauth('crm', 'code=hunter2');
SELECT sluice.finish_oauth('crm', NULL);
-- A callback that has the right state, and something else that is not right. The state is only known as its hash here.
UPDATE sluice._oauth_flow SET state_hash = sha256('st');
SELECT sluice.finish_oauth('crm', 'https://app.example.com/other?code=hunter2&state=st');
SELECT sluice.finish_oauth('crm', 'https://app.example.com/cb?code=hunter2&state=st&iss=https://evil.example');
SELECT sluice.finish_oauth('crm', 'https://app.example.com/cb?error=access_denied&state=st');
SELECT sluice.finish_oauth('crm', 'https://app.example.com/cb?state=st');
-- Only its owner and an admin connect a connection; a role that may use it may not.
CREATE ROLE golden_oauth;
SELECT sluice.grant_access('golden_oauth', 'writer');
GRANT USAGE ON FOREIGN SERVER crm TO golden_oauth;
SET ROLE golden_oauth;
SELECT sluice.begin_oauth('crm', 'https://app.example.com/cb');
RESET ROLE;
SELECT sluice.revoke_access('golden_oauth');
DROP SERVER crm;
SELECT count(*) FROM sluice._oauth;
DROP SERVER tv;
DROP SERVER plain;
DROP ROLE golden_oauth;
