-- The retry queue: what failed for a reason that may pass, and when it is tried again.

-- Declared low, normal, high, so that ORDER BY priority DESC puts high first.
CREATE TYPE sluice.priority AS ENUM ('low', 'normal', 'high');

CREATE TABLE sluice._retry (
    id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id             bigint NOT NULL REFERENCES sluice._job ON DELETE CASCADE,
    operation          text NOT NULL CHECK (operation IN ('sync', 'push', 'refresh_token', 'webhook')),
    status             text NOT NULL CHECK (status IN ('pending', 'processing', 'completed', 'dead')),
    priority           sluice.priority NOT NULL,
    -- Retries that were made since the last that brought a page.
    retry_count        integer NOT NULL DEFAULT 0,
    max_retries        integer NOT NULL,
    -- NULL where nothing is waited for any more.
    next_retry_at      timestamptz,
    -- The run that failed last, and with what.
    run_id             bigint NOT NULL,
    error_class        text NOT NULL,
    sqlstate           text NOT NULL,
    last_error_message text NOT NULL,
    context            jsonb NOT NULL DEFAULT '{}',
    created_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((status = 'pending') = (next_retry_at IS NOT NULL))
) WITH (fillfactor = 70);

-- One open entry a job and kind of work.
CREATE UNIQUE INDEX _retry_open ON sluice._retry (job_id, operation) WHERE status IN ('pending', 'processing');
CREATE INDEX _retry_by_job ON sluice._retry (job_id, id DESC);
