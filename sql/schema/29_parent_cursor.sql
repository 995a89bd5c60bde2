-- How far the records below each parent of a job were read and published: a row for each change, under the run that made it,
-- so that a rollback takes away those of the runs that it takes back. NULL: the next read asks for everything. Not dumped,
-- since runs are not: after a restore each parent is read in full once.
CREATE TABLE sluice._parent_cursor (
    job_id   bigint NOT NULL REFERENCES sluice._job ON DELETE CASCADE,
    identity bytea NOT NULL,
    run_id   bigint NOT NULL,
    cursor   text,
    PRIMARY KEY (job_id, identity, run_id)
);

CREATE VIEW sluice._latest_parent_cursor AS
SELECT DISTINCT ON (c.job_id, c.identity) c.job_id, c.identity, c.cursor
FROM sluice._parent_cursor AS c
ORDER BY c.job_id, c.identity, c.run_id DESC;
