WITH told AS (
    DELETE FROM sluice._event
    WHERE id IN (SELECT e.id FROM sluice._event AS e ORDER BY e.id LIMIT $1 FOR UPDATE SKIP LOCKED)
    RETURNING id, payload
)
SELECT pg_notify('sluice_events', t.payload::text) FROM (SELECT told.payload FROM told ORDER BY told.id) AS t
