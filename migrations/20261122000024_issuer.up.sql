-- Keys with which this installation, as an OIDC issuer, signs statements of who a connector is. They belong to no
-- customer: their tenant is the nil UUID, so that row-level security keeps every customer's transaction away from them.
create table issuer_keys (
    tenant_id uuid not null check (tenant_id = '00000000-0000-0000-0000-000000000000'),
    key_id text collate "C" not null,
    -- Published from here on.
    created_at timestamptz not null,
    -- Signs from here on, until a later key does.
    signs_from timestamptz not null,
    -- Modulus and exponent as a JWK has them.
    modulus text not null,
    exponent text not null,
    -- The private key in PEM, sealed like a credential: which key-encryption key sealed it, and nonce with ciphertext.
    sealed_by text not null,
    sealed bytea not null,
    primary key (tenant_id, key_id)
);
alter table issuer_keys enable row level security;
alter table issuer_keys force row level security;
create policy tenant on issuer_keys
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
grant select, insert, update, delete on issuer_keys to rampart_app;
