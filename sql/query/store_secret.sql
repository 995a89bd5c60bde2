-- Only over the version that it was made from: whoever was first has the next one. A secret that came with a dump is its
-- owner's here from now on.
UPDATE sluice._secret AS s
SET owner_oid = $2, owner_name = $3, armed_in = sluice._here(),
    origin = $5, version = $6, sealed = $7, source = $8, updated_at = now()
WHERE s.id = $1 AND s.version = $6 - 1 AND s.name = $4
