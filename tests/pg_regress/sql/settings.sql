-- The settings sluice.*: names, contexts, units and defaults are a contract with postgresql.conf files.
SET client_min_messages = warning;
CREATE EXTENSION pg_sluice;
RESET client_min_messages;
SELECT name, context, unit, boot_val AS "default", short_desc FROM pg_settings WHERE name LIKE 'sluice.%' AND name NOT LIKE 'sluice.debug%' ORDER BY name;
SET sluice.enabled = off;
SET sluice.enabld = off;
ALTER SYSTEM SET sluice.max_workers = 0;
ALTER SYSTEM SET sluice.lock_timeout = '10 bananas';
