-- The read in progress goes on at a former page of it; the later ones are forgotten.
WITH page AS (
    SELECT p.token_in FROM sluice._page AS p WHERE p.job_id = $1 AND p.generation = $2 AND p.number = $3
), pages AS (
    DELETE FROM sluice._page AS p WHERE p.job_id = $1 AND p.generation = $2 AND p.number >= $3
), rejects AS (
    DELETE FROM sluice._reject AS r WHERE r.job_id = $1 AND r.generation = $2 AND r.page >= $3
)
UPDATE sluice._job_state AS t SET page_number = $3, page_token = page.token_in, complete = false, updated_at = now()
FROM page
WHERE t.job_id = $1 AND t.generation = $2
