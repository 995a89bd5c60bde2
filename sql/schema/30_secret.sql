-- Secrets: sealed values, who may name them, and where they may be sent.

CREATE TABLE sluice._secret (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    owner_oid  oid NOT NULL,
    owner_name text NOT NULL,
    name       text NOT NULL CHECK (name <> '' AND octet_length(name) <= 63),
    -- NULL: not yet bound; the first connection of its owner that names it binds it.
    origin     text,
    version    integer NOT NULL DEFAULT 1,
    -- value: sealed is the value. Else sealed says where it is, as what it can be opened only.
    source     text NOT NULL DEFAULT 'value' CHECK (source IN ('value', 'file', 'command', 'vault')),
    sealed     bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- Where the oid is from; elsewhere the owner is the role of this name.
    armed_in   text NOT NULL DEFAULT sluice._here(),
    UNIQUE (owner_oid, name, armed_in)
);

CREATE TABLE sluice._secret_grant (
    secret_id  uuid NOT NULL REFERENCES sluice._secret ON DELETE CASCADE,
    role_oid   oid NOT NULL,
    role_name  text NOT NULL,
    granted_at timestamptz NOT NULL DEFAULT now(),
    armed_in   text NOT NULL DEFAULT sluice._here(),
    PRIMARY KEY (secret_id, role_oid, armed_in)
);

SELECT pg_catalog.pg_extension_config_dump('sluice._secret', '');
SELECT pg_catalog.pg_extension_config_dump('sluice._secret_grant', '');
