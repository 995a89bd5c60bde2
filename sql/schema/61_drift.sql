-- How the records of a job have changed their shape: names and types, never a value.

-- What later reads are compared with: by the setting "columns" that it was taken under.
CREATE TABLE sluice._shape (
    job_id  bigint PRIMARY KEY REFERENCES sluice._job ON DELETE CASCADE,
    columns text NOT NULL,
    shape   json NOT NULL
);

CREATE TABLE sluice._drift (
    job_id        bigint NOT NULL REFERENCES sluice._job ON DELETE CASCADE,
    -- A member's name, or the place of what lies deeper.
    field         text NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('new_field', 'missing_field', 'type_changed', 'widened')),
    -- The same as a path, for a column that is made for it.
    place         text NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_at  timestamptz NOT NULL,
    -- The read that had it last.
    generation    bigint NOT NULL,
    sample_type   text NOT NULL,
    seen_count    bigint NOT NULL,
    -- The column that a run gave it, and its type; the type alone: it waits for the publish.
    column_name   text,
    column_type   text,
    note          text,
    PRIMARY KEY (job_id, field, kind)
);

-- Columns whose types were inferred from a job's records: while they have the type that they were given, they may get a wider one.
CREATE TABLE sluice._made_column (
    job_id      bigint NOT NULL REFERENCES sluice._job ON DELETE CASCADE,
    column_name text NOT NULL,
    column_type text NOT NULL,
    PRIMARY KEY (job_id, column_name)
);

SELECT pg_catalog.pg_extension_config_dump('sluice._made_column', '');
SELECT pg_catalog.pg_extension_config_dump('sluice._shape', '');
SELECT pg_catalog.pg_extension_config_dump('sluice._drift', '');

CREATE VIEW sluice.sync_drift WITH (security_barrier) AS
SELECT j.name AS data_type,
       d.field,
       d.kind,
       d.first_seen_at,
       d.last_seen_at,
       d.sample_type,
       d.seen_count,
       d.column_name,
       d.note
FROM sluice._drift AS d
JOIN sluice._visible_job AS j ON j.id = d.job_id;
