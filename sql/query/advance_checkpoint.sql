UPDATE sluice._job_state
SET page_number = $4, page_token = $5, complete = $6,
    longest_pause = greatest(longest_pause, date_part('epoch', $9 - coalesce(last_page_at, generation_started_at))),
    last_page_at = $9, total_first = CASE WHEN page_number = 1 THEN $7 ELSE total_first END, total_last = coalesce($7, total_last),
    total_pages = coalesce($13, total_pages),
    duplicates = duplicates + $8, read_cursor = $10, cursor_unreadable = cursor_unreadable + $11,
    cursor_ahead = cursor_ahead + $12, tombstones = tombstones + $14, crashes = 0, updated_at = $9
WHERE job_id = $1 AND generation = $2 AND page_number = $3 AND reading
