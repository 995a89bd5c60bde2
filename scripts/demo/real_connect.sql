-- As the superuser: an ordinary role, and a connection that it may use.
CREATE ROLE app LOGIN;
CREATE SCHEMA AUTHORIZATION app;
SELECT sluice.grant_access('app', 'writer');
CREATE SERVER github FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://api.github.com', max_concurrency '1');
GRANT USAGE ON FOREIGN SERVER github TO app;
SELECT check_name, ok, detail FROM sluice.test_connection('github', '/repos/postgres/postgres/tags');
