-- The runner itself: errors come with SQLSTATE, DETAIL and HINT, and without the server's source lines.
DO $$ BEGIN RAISE 'no such thing' USING ERRCODE = '42704', DETAIL = 'Looked everywhere.', HINT = 'Look elsewhere.'; END $$;
DO $$ BEGIN RAISE NOTICE 'a notice'; END $$;
SELECT 1 AS one;
