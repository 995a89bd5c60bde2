INSERT INTO sluice._run_pace AS p (run_id, requests, retries, p50_ms, p95_ms, page_size, concurrency)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (run_id)
DO UPDATE SET requests = p.requests + excluded.requests, retries = p.retries + excluded.retries,
              p50_ms = coalesce(excluded.p50_ms, p.p50_ms), p95_ms = coalesce(excluded.p95_ms, p.p95_ms),
              page_size = excluded.page_size, concurrency = excluded.concurrency
