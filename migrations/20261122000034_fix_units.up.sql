-- What delivers each resource. Resources of one source are one fix unit: one change of it reaches them all.
create table resource_sources (
    tenant_id uuid not null references tenants on delete cascade,
    resource_id uuid not null,
    -- Derived from the source's type and identity, equal in every cluster.
    fix_unit_id uuid not null,
    source_type text collate "C" not null,
    -- Chart, application, add-on, kind of custom resource, or the object itself.
    source_name text collate "C" not null,
    -- What applies it there: helm, argo_cd, flux_helm_release, flux_kustomization; null where none of them does.
    deliverer text collate "C",
    -- Release, application or custom resource through which it came, and its namespace.
    instance text collate "C",
    instance_namespace text collate "C",
    -- Name of the object within its source, without what differs from instance to instance.
    part text collate "C" not null,
    version text collate "C",
    -- Of its configuration, without what differs from cluster to cluster.
    fingerprint bytea,
    primary key (tenant_id, resource_id)
);
create index resource_sources_unit on resource_sources (tenant_id, fix_unit_id, resource_id);

alter table resource_sources enable row level security;
alter table resource_sources force row level security;
create policy tenant on resource_sources
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
grant select, insert, update, delete on resource_sources to rampart_app;

-- Version of the rules by which the unit's sources were last derived as a whole.
alter table assessments add column source_rules smallint not null default 0;
