-- Tenants, API tokens and what they may do. Every table leads its key with tenant_id and forces row-level security.
create table tenants (
    tenant_id uuid primary key,
    name text collate "C" not null,
    created_at timestamptz not null default now()
);

create table tokens (
    tenant_id uuid not null references tenants on delete cascade,
    token_id uuid not null,
    name text collate "C" not null,
    -- SHA-256 of the secret; the secret itself is shown once and never stored.
    hash bytea not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    revoked_at timestamptz,
    -- Raised at most once an hour, so that reads stay reads.
    last_used_at timestamptz,
    primary key (tenant_id, token_id)
);
create unique index tokens_hash on tokens (hash);

create table grants (
    tenant_id uuid not null,
    grant_id uuid not null,
    token_id uuid not null,
    role text not null check (role in ('owner', 'security_admin', 'security_reader', 'connector_admin')),
    scope_type text not null check (scope_type in ('tenant', 'account', 'cluster', 'namespace')),
    account text collate "C",
    cluster_id uuid,
    namespace text collate "C",
    primary key (tenant_id, grant_id),
    foreign key (tenant_id, token_id) references tokens on delete cascade,
    check (case scope_type
        when 'tenant' then account is null and cluster_id is null and namespace is null
        when 'account' then account is not null and cluster_id is null and namespace is null
        when 'cluster' then cluster_id is not null and account is null and namespace is null
        else cluster_id is not null and namespace is not null and account is null end)
);
create index grants_token on grants (tenant_id, token_id);

create table idempotency_keys (
    tenant_id uuid not null references tenants on delete cascade,
    key text collate "C" not null,
    operation text not null,
    request_hash bytea not null,
    -- Null while the first request is still being answered.
    status int,
    body jsonb,
    created_at timestamptz not null default now(),
    primary key (tenant_id, key)
);
create index idempotency_keys_age on idempotency_keys (created_at);
