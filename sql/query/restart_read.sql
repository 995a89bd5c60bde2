UPDATE sluice._job_state
SET complete = false, generation_started_at = $2, last_page_at = NULL, longest_pause = 0, page_number = 1, page_token = NULL,
    total_first = NULL, total_last = NULL, total_pages = NULL, duplicates = 0, tombstones = 0, read_cursor = NULL, cursor_unreadable = 0,
    cursor_ahead = 0, updated_at = $2
WHERE job_id = $1
