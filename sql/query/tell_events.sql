-- A payload that has no room is told without what is long: it would keep all others from being told.
WITH told AS (
    DELETE FROM sluice._event
    WHERE id IN (SELECT e.id FROM sluice._event AS e ORDER BY e.id LIMIT $1 FOR UPDATE SKIP LOCKED)
    RETURNING id, payload
)
SELECT pg_notify('sluice_events', CASE WHEN octet_length(t.payload::text) < 8000 THEN t.payload
                                       ELSE t.short || '{"shortened": true}' END::text)
FROM (SELECT told.payload, (SELECT jsonb_object_agg(m.key, m.value) FROM jsonb_each(told.payload) AS m
                            WHERE octet_length(m.value::text) <= 200) AS short
      FROM told ORDER BY told.id) AS t
