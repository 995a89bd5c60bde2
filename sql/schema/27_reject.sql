-- Records that could not become rows, kept aside with what was wrong with them.

CREATE TABLE sluice._reject (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id        bigint NOT NULL REFERENCES sluice._job ON DELETE CASCADE,
    run_id        bigint NOT NULL,
    generation    bigint NOT NULL,
    -- Where it came: the page's number, and the record's place in it.
    page          bigint NOT NULL,
    position      bigint NOT NULL,
    -- As it came; NULL where it cannot be read.
    key           text,
    -- Its fields as in a page's key set, and the form (columns and their types) that they are in.
    key_fields    bytea,
    key_form      text NOT NULL,
    column_name   text,
    sqlstate      text NOT NULL,
    error_message text NOT NULL,
    error_detail  text,
    error_hint    text,
    -- The record's text, without its end where it is very long.
    raw           text NOT NULL,
    raw_bytes     bigint NOT NULL,
    -- The line of the answer, where it is one that is no record: raw is the line then.
    line          bigint,
    status        text NOT NULL DEFAULT 'rejected' CHECK (status IN ('rejected', 'replayed', 'superseded')),
    -- The run that wrote it after all, or brought a later version of it.
    settled_by    bigint,
    -- The first published read of everything that did not have it again. A reject that comes again as it was, on the same
    -- page, is not written again: it belongs to the reads from its own one up to that.
    until         bigint,
    created_at    timestamptz NOT NULL DEFAULT now(),
    UNIQUE (job_id, generation, page, position)
);
CREATE INDEX _reject_open ON sluice._reject (job_id, generation) WHERE status = 'rejected';
