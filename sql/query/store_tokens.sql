UPDATE sluice._oauth AS o
SET version = $2, access_sealed = $3,
    previous_sealed = CASE WHEN $14 THEN o.refresh_sealed END,
    previous_version = CASE WHEN $14 AND o.refresh_sealed IS NOT NULL THEN o.version END,
    refresh_sealed = $4, scope = $5, definition = $6,
    token_origin = $15, api_origin = $16,
    renew_at = $7, expires_at = $8, due_at = $9, obtained_at = $10,
    owner_oid = $11, owner_name = $12, server_name = $13,
    state = 'connected', needs_person = false, failures = 0, failed_at = NULL, error_class = NULL, sqlstate = NULL,
    error_message = NULL, error_detail = NULL, error_hint = NULL, updated_at = clock_timestamp()
WHERE o.id = $1
