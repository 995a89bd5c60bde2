-- Runs, the page ledger, the page store and undo sets.

CREATE TABLE sluice._run (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id          bigint NOT NULL REFERENCES sluice._job ON DELETE CASCADE,
    source          text NOT NULL CHECK (source IN
                        ('schedule', 'manual', 'retry', 'resume', 'catch_up', 'cron', 'ingest', 'rollback')),
    requested_by    text NOT NULL,
    status          text NOT NULL CHECK (status IN
                        ('scheduled', 'running', 'publishing', 'succeeded', 'held', 'superseded', 'discarded',
                         'rolled_back', 'retryable', 'failed', 'stopped', 'interrupted')),
    attempt         integer NOT NULL DEFAULT 0,
    generation      bigint,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    not_before      timestamptz,
    -- Why it waits until then, where that is its remote's doing.
    rate_wait       text,
    started_at      timestamptz,
    finished_at     timestamptz,
    pages           bigint NOT NULL DEFAULT 0,
    records         bigint NOT NULL DEFAULT 0,
    inserted        bigint NOT NULL DEFAULT 0,
    updated         bigint NOT NULL DEFAULT 0,
    deleted         bigint NOT NULL DEFAULT 0,
    unchanged       bigint NOT NULL DEFAULT 0,
    rejected        bigint NOT NULL DEFAULT 0,
    bytes           bigint NOT NULL DEFAULT 0,
    -- Requests that failed, rate limits aside: in all, and since the last answer.
    failed_requests integer NOT NULL DEFAULT 0,
    failed_in_row   integer NOT NULL DEFAULT 0,
    -- Rows that are missing from this read but not yet proven gone.
    unconfirmed     bigint NOT NULL DEFAULT 0,
    -- What the read amounted to, as the guards judged it.
    answer          text CHECK (answer IN
                        ('records', 'unchanged', 'empty_unconfirmed', 'empty_confirmed', 'shrunk', 'path_missing')),
    -- Why rows that the read did not have were removed, or were not: a word of core::guard::Reason.
    removals        text,
    error_class     text,
    sqlstate        text,
    error_message   text,
    error_detail    text,
    error_hint      text,
    -- Why the run was held, and who decided.
    held_reason     text,
    -- What the read declared and how long it paused: later reads of the job have figures of their own.
    total_first     bigint,
    total_last      bigint,
    longest_pause   double precision,
    -- Its rows were in the target when it was held: what waits are removals.
    direct          boolean NOT NULL DEFAULT false,
    approved_by     text,
    approved_at     timestamptz,
    -- What the run does.
    task            text NOT NULL DEFAULT 'sync' CHECK (task IN
                        ('sync', 'replay', 'replay_rejects', 'rollback', 'snapshot', 'restore')),
    -- Whether it makes something visible that rollback_to can take back.
    publishes       boolean NOT NULL GENERATED ALWAYS AS (task NOT IN ('rollback', 'snapshot')) STORED,
    -- What it is about: the run to replay, the run to go back to (NULL: before the latest published run), the snapshot.
    subject         bigint,
    -- For a rollback: whether the job goes on. For a snapshot: what it is called.
    resume_job      boolean NOT NULL DEFAULT false,
    label           text,
    -- For runs that were undone: by which rollback.
    undone_by       bigint,
    -- Who asked for its end.
    stopped_by      text,
    -- What the target held before this run was published; what rollback_to puts back.
    before          jsonb
) WITH (fillfactor = 70);

-- One open run per job; also what start_sync finds instead of making a second one.
CREATE UNIQUE INDEX _run_open ON sluice._run (job_id) WHERE status IN ('scheduled', 'running', 'publishing');
CREATE INDEX _run_by_job ON sluice._run (job_id, id DESC);

-- One row a page of a read: what was asked, what came. A negative generation is a pass that was begun again.
CREATE TABLE sluice._page (
    job_id      bigint NOT NULL REFERENCES sluice._job ON DELETE CASCADE,
    generation  bigint NOT NULL,
    number      bigint NOT NULL,
    run_id      bigint NOT NULL,
    token_in    text NOT NULL,
    token_out   text,
    records     bigint NOT NULL,
    bytes       bigint NOT NULL,
    hash        bytea NOT NULL,
    etag        text,
    received_at timestamptz NOT NULL,
    -- The other validator, and what the page declared: a later 304 speaks of the same page.
    last_modified text,
    total       bigint,
    total_pages bigint,
    -- Below which row of the job's `foreach` query the page lies: identifies its values.
    parent      bytea,
    -- A rule took the answer for a page without records: the read says nothing of what is missing.
    ignored     boolean NOT NULL DEFAULT false,
    PRIMARY KEY (job_id, generation, number)
);

-- The rows of a job's `foreach` query in a read, and what became of each.
CREATE TABLE sluice._parent (
    job_id        bigint NOT NULL REFERENCES sluice._job ON DELETE CASCADE,
    generation    bigint NOT NULL,
    ordinal       bigint NOT NULL,
    identity      bytea NOT NULL,
    columns       jsonb NOT NULL,
    state         text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'reading', 'done', 'failed')),
    first_page    bigint,
    pages         bigint NOT NULL DEFAULT 0,
    records       bigint NOT NULL DEFAULT 0,
    -- From where on its records are asked for (NULL: all of them), how far they reach, and what its pages declared.
    bound         text,
    reach         text,
    total_first   bigint,
    total_last    bigint,
    -- It failed, and its pages of the read before stand for it.
    kept          boolean NOT NULL DEFAULT false,
    error_message text,
    PRIMARY KEY (job_id, generation, ordinal)
);

-- The records text of a page, once for all pages that equal it, compressed; and the keys in it.
CREATE TABLE sluice._page_body (
    job_id     bigint NOT NULL REFERENCES sluice._job ON DELETE CASCADE,
    hash       bytea NOT NULL,
    records    bigint NOT NULL,
    body       bytea NOT NULL,
    keys       bytea NOT NULL,
    -- The keys of its tombstones; NULL where it has none.
    gone       bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job_id, hash)
);
ALTER TABLE sluice._page_body
    ALTER COLUMN body SET STORAGE EXTERNAL, ALTER COLUMN keys SET STORAGE EXTERNAL, ALTER COLUMN gone SET STORAGE EXTERNAL;

-- Keys that upserts brought: with those of the last read of the whole collection they are the job's own rows. One row a
-- batch, compressed as in the page store. Batches that no rollback needs by themselves are made into few, each key once.
CREATE TABLE sluice._brought (
    job_id     bigint NOT NULL REFERENCES sluice._job ON DELETE CASCADE,
    generation bigint NOT NULL,
    -- The first page of the batch.
    number     bigint NOT NULL,
    run_id     bigint NOT NULL,
    -- The key's columns and their types; only keys of one form can be compared.
    key_form   text NOT NULL,
    -- Keys and tombstones.
    records    bigint NOT NULL,
    keys       bytea NOT NULL,
    -- Keys of tombstones that came after any record of their key in the batch, and whether their rows were removed.
    gone       bytea,
    applied    boolean NOT NULL DEFAULT false,
    -- Made of several batches.
    merged     boolean NOT NULL DEFAULT false,
    PRIMARY KEY (job_id, generation, number)
);
ALTER TABLE sluice._brought ALTER COLUMN keys SET STORAGE EXTERNAL, ALTER COLUMN gone SET STORAGE EXTERNAL;

-- Keys that were missing from a published read without proof that they are gone; only those of one form (columns and
-- their types) can be compared.
CREATE TABLE sluice._missing (
    job_id     bigint NOT NULL REFERENCES sluice._job ON DELETE CASCADE,
    generation bigint NOT NULL,
    key_form   text NOT NULL,
    key        bytea NOT NULL,
    PRIMARY KEY (job_id, generation, key)
);

-- What is needed to undo a run: one row a batch, in the order of writing.
CREATE TABLE sluice._undo (
    run_id     bigint NOT NULL REFERENCES sluice._run ON DELETE CASCADE,
    batch      integer NOT NULL,
    job_id     bigint NOT NULL,
    -- 'rows': former images; 'first_load': the target held nothing of this job before.
    kind       text NOT NULL CHECK (kind IN ('rows', 'first_load')),
    columns    text[] NOT NULL DEFAULT '{}',
    -- Of these columns, pg_attribute.attnum; of a first load, those of all columns that the target had.
    attnums    bigint[] NOT NULL,
    rows       bigint NOT NULL,
    payload    bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, batch)
);
ALTER TABLE sluice._undo ALTER COLUMN payload SET STORAGE EXTERNAL;
CREATE INDEX _undo_by_job ON sluice._undo (job_id, run_id);
