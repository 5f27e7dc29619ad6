-- Keys with which this installation signs the bundles of findings that it gives away. They belong to no customer, as those
-- of the issuer; none is ever removed, so that an old bundle can be checked. The latest signs.
create table bundle_keys (
    tenant_id uuid not null check (tenant_id = '00000000-0000-0000-0000-000000000000'),
    -- SHA-256 of the public key as RFC 7638 has it, in base64url.
    key_id text collate "C" not null,
    created_at timestamptz not null,
    -- Ed25519, 32 bytes.
    public_key bytea not null check (octet_length(public_key) = 32),
    -- The seed, sealed like a credential: which key-encryption key sealed it, and nonce with ciphertext.
    sealed_by text not null,
    sealed bytea not null,
    primary key (tenant_id, key_id)
);
alter table bundle_keys enable row level security;
alter table bundle_keys force row level security;
create policy tenant on bundle_keys
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
grant select, insert, update on bundle_keys to rampart_app;
