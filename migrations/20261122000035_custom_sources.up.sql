-- What customers write: controls in the product's own format, and bundles of policies in the formats of others.
create table custom_sources (
    tenant_id uuid not null references tenants on delete cascade,
    format text collate "C" not null check (format in ('control', 'policies')),
    -- The id of a control; the name of a bundle.
    name text collate "C" not null,
    source text not null,
    -- Rises with every change, and goes on where a name is used again.
    version bigint not null,
    changed_by uuid not null,
    changed_at timestamptz not null default now(),
    primary key (tenant_id, format, name)
);
alter table custom_sources enable row level security;
alter table custom_sources force row level security;
create policy tenant on custom_sources
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
grant select, insert, update, delete on custom_sources to rampart_app;

-- Every version there was; a source of null says that it was deleted.
create table custom_source_versions (
    tenant_id uuid not null references tenants on delete cascade,
    format text collate "C" not null,
    name text collate "C" not null,
    version bigint not null,
    source text,
    changed_by uuid not null,
    changed_at timestamptz not null default now(),
    primary key (tenant_id, format, name, version)
);
alter table custom_source_versions enable row level security;
alter table custom_source_versions force row level security;
create policy tenant on custom_source_versions
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
grant select, insert, update, delete on custom_source_versions to rampart_app;
