INSERT INTO sluice._rate (budget, not_before, breaker, open_since, failures, reason, changed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (budget)
DO UPDATE SET not_before = excluded.not_before, breaker = excluded.breaker, open_since = excluded.open_since,
              failures = excluded.failures, reason = excluded.reason, changed_at = excluded.changed_at
