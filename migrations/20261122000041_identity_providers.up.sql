-- OIDC issuers whose tokens a tenant takes. Two tenants may trust the same issuer and audience: a request says which
-- tenant it means, so no tenant's row is ever looked at for another.
create table identity_providers (
    tenant_id uuid not null references tenants on delete cascade,
    identity_provider_id uuid not null,
    name text collate "C" not null,
    issuer text collate "C" not null,
    audience text collate "C" not null,
    -- Claims, and the role in a scope that who has them gets.
    rules jsonb not null,
    enabled boolean not null,
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, identity_provider_id)
);
create unique index identity_providers_name on identity_providers (tenant_id, name);
create unique index identity_providers_tokens on identity_providers (tenant_id, issuer, audience);
alter table identity_providers enable row level security;
alter table identity_providers force row level security;
create policy tenant on identity_providers
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
grant select, insert, update, delete on identity_providers to rampart_app;
