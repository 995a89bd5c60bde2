-- When a job runs: cron expressions, zones, adaptive, dependencies, turns. Nothing here runs.
SET client_min_messages = warning;
CREATE EXTENSION pg_sluice;
SELECT sluice.create_connection('shop', 'http://127.0.0.1:1');
CREATE TABLE products (id bigint PRIMARY KEY, name text);
CREATE FUNCTION make(name text, settings jsonb DEFAULT '{}') RETURNS boolean LANGUAGE sql
AS $$ SELECT sluice.create_job(name, 'shop', '/products', target => 'products', schedule => 'manual', settings => settings) > 0 $$;
SELECT make('a');
-- Expressions: each wrong field is named.
SELECT sluice.alter_job('a', schedule => '61 * * * *');
SELECT sluice.alter_job('a', schedule => '0 24 * * *');
SELECT sluice.alter_job('a', schedule => '0 0 0 * *');
SELECT sluice.alter_job('a', schedule => '0 0 1 jann *');
SELECT sluice.alter_job('a', schedule => '0 0 * * mon-fry');
SELECT sluice.alter_job('a', schedule => '*/5 * * *');
SELECT sluice.alter_job('a', schedule => '0 0 30 feb *');
SELECT sluice.alter_job('a', schedule => '@reboot');
SELECT sluice.alter_job('a', schedule => 'adaptiv');
-- Zones are PostgreSQL's own.
SELECT sluice.alter_job('a', settings => '{"time_zone": "Europe/Bonn"}');
SELECT sluice.alter_job('a', settings => '{"time_zone": 1}');
SELECT sluice.alter_job('a', schedule => '30 4 1 jan *', settings => '{"time_zone": "Asia/Kolkata"}');
SELECT schedule, settings, to_char(next_run_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI') AS next_run_at FROM sluice.sync_jobs;
SELECT sluice.alter_job('a', settings => '{"time_zone": "UTC"}');
SELECT to_char(next_run_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI') AS next_run_at FROM sluice.sync_jobs;
SELECT sluice.alter_job('a', schedule => '@yearly');
SELECT sluice.alter_job('a', schedule => 'manual');
-- Bounds of an adaptive schedule.
SELECT sluice.alter_job('a', settings => '{"adaptive": {"fastest": "1 hour"}}');
SELECT sluice.alter_job('a', settings => '{"adaptive": {"fastst": "1 hour"}}');
-- Dependencies: of jobs that are there, and never in a circle.
SELECT make('b', '{"depends_on": ["aa"]}');
SELECT make('b', '{"depends_on": 7}');
SELECT make('b', '{"depends_on": "b"}');
SELECT make('b', '{"depends_on": "a"}');
SELECT make('c', '{"depends_on": ["a", "b"]}');
SELECT sluice.alter_job('a', settings => '{"depends_on": ["c"]}');
RESET client_min_messages;
SELECT sluice.drop_job('b');
SET client_min_messages = warning;
SELECT name, settings FROM sluice.sync_jobs ORDER BY name;
SELECT sluice.alter_job('a', settings => '{"depends_on": ["b"]}');
-- Another connection's health.
SELECT sluice.alter_job('a', settings => '{"run_when": {"connection": "shap"}}');
SELECT sluice.alter_job('a', settings => '{"run_when": {"health": "healthy"}}');
SELECT sluice.alter_job('a', settings => '{"run_when": {"connection": "shop", "health": "well"}}');
-- Turns.
SELECT sluice.alter_job('a', settings => '{"turn": {"pages": 0}}');
SELECT sluice.alter_job('a', settings => '{"turn": {"minutes": "20"}}');
SELECT sluice.alter_job('a', settings => '{"turn": {"pages": 100, "minutes": 5}}');
