UPDATE sluice._job_state
SET generation = generation + 1, reading = true, complete = false, direct = $3, definition = $2,
    generation_started_at = $4, last_page_at = NULL, longest_pause = 0, page_number = 1, page_token = NULL,
    total_first = NULL, total_last = NULL, total_pages = NULL, restarts = 0, duplicates = 0, tombstones = 0, ingested = false, read_bound = $5, read_cursor = NULL, cursor_unreadable = 0, cursor_ahead = 0, updated_at = $4
WHERE job_id = $1
RETURNING generation
