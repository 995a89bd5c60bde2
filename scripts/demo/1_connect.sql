-- As the superuser: an ordinary role, and a connection that it may use.
CREATE ROLE app LOGIN;
CREATE SCHEMA AUTHORIZATION app;
SELECT sluice.grant_access('app', 'writer');
CREATE SERVER shop FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url :'api');
GRANT USAGE ON FOREIGN SERVER shop TO app;
