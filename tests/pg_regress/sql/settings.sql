-- The settings sluice.*: names, contexts, units and defaults are a contract with postgresql.conf files.
SET client_min_messages = warning;
CREATE EXTENSION pg_sluice;
RESET client_min_messages;
SELECT name, context, unit, boot_val AS "default", short_desc FROM pg_settings WHERE name LIKE 'sluice.%' AND name NOT LIKE 'sluice.debug%' ORDER BY name;
SET sluice.enabled = off;
SET sluice.enabld = off;
ALTER SYSTEM SET sluice.max_workers = 0;
ALTER SYSTEM SET sluice.lock_timeout = '10 bananas';
-- A list with an entry that could never hold is refused as a whole, and so is a path that begins nowhere.
ALTER SYSTEM SET sluice.allowed_networks = '127.0.0.0/8, local';
ALTER SYSTEM SET sluice.allowed_networks = '127.0.0.1';
ALTER SYSTEM SET sluice.allowed_hosts = 'https://api.example.com';
ALTER SYSTEM SET sluice.allowed_hosts = '*.größe.example';
ALTER SYSTEM SET sluice.secret_directories = '/run/secrets, secrets';
ALTER SYSTEM SET sluice.key_file = 'pg_sluice.key';
ALTER DATABASE settings SET sluice.allowed_networks = '127.0.0.1';
ALTER SYSTEM SET sluice.allowed_networks = '127.0.0.0/8, ::1/128';
ALTER SYSTEM SET sluice.allowed_hosts = 'api.example.com, *.example.org, ::1';
ALTER SYSTEM RESET sluice.allowed_networks;
ALTER SYSTEM RESET sluice.allowed_hosts;
