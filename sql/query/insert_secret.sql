INSERT INTO sluice._secret (id, owner_oid, owner_name, name, origin, version, sealed, source)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (owner_oid, name, armed_in) DO NOTHING
