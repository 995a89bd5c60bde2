SELECT t.generation, t.reading, t.direct, t.complete, t.definition, t.longest_pause,
       date_part('epoch', $2 - coalesce(t.last_page_at, t.generation_started_at)),
       t.page_number, t.page_token, t.total_first, t.total_last, t.duplicates, t.published_generation,
       t.published_rows, t.published_version, t.skip_valid, date_part('epoch', $2 - t.verified_at),
       t.mapped_columns, t.mapped_target, t.whole_generation, t.cursor, t.read_cursor, t.cursor_unreadable, t.cursor_ahead,
       date_part('epoch', $2 - t.whole_at), t.read_bound, t.total_pages, t.restarts, t.published_definition, t.whole_version,
       t.tombstones, t.empty_reads
FROM sluice._job_state AS t
WHERE t.job_id = $1
