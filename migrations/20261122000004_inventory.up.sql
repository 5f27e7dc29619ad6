-- Clusters, resources, closed versions of resources, edges.
create extension if not exists pg_trgm;
create extension if not exists btree_gin;

create table clusters (
    tenant_id uuid not null references tenants on delete cascade,
    cluster_id uuid not null,
    name text collate "C" not null,
    cloud text not null,
    account text collate "C",
    region text collate "C",
    -- The cloud's id; null for a cluster known only by its Kubernetes API.
    native_id text collate "C",
    -- Uid of the kube-system namespace: two sources with the same uid are one cluster.
    kube_uid text collate "C",
    version text,
    first_seen timestamptz not null default now(),
    gone_at timestamptz,
    primary key (tenant_id, cluster_id)
);
create unique index clusters_native on clusters (tenant_id, native_id) where gone_at is null;
create unique index clusters_kube on clusters (tenant_id, kube_uid) where gone_at is null;
create index clusters_name on clusters (tenant_id, name, cluster_id);

create table resources (
    tenant_id uuid not null references tenants on delete cascade,
    resource_id uuid not null,
    -- What is assessed at once: the cluster, or the account for what belongs to no cluster.
    unit_id uuid not null,
    cluster_id uuid,
    native_id text collate "C" not null,
    kind text collate "C" not null,
    name text collate "C" not null,
    name_lower text collate "C" not null,
    cloud text collate "C" not null,
    account text collate "C",
    region text collate "C",
    namespace text collate "C",
    labels jsonb not null default '{}',
    managed_by text collate "C" not null,
    owner_id uuid,
    active boolean not null,
    uid text collate "C",
    config jsonb not null,
    -- Over everything above that a source states, not only config.
    hash bytea not null,
    revision bigint not null default 1,
    -- The source that owns the row: only its complete listing of (scope, kind) may end it.
    connector_id uuid not null,
    scope text collate "C" not null,
    first_seen timestamptz not null,
    changed_at timestamptz not null,
    primary key (tenant_id, resource_id)
);
create index resources_kind on resources (tenant_id, kind, name, resource_id);
create index resources_name on resources (tenant_id, name, resource_id);
create index resources_unit on resources (tenant_id, unit_id, kind, namespace);
create index resources_source on resources (tenant_id, connector_id, scope, kind);
create index resources_owner on resources (tenant_id, owner_id) where owner_id is not null;
create index resources_search on resources using gin (tenant_id, name_lower gin_trgm_ops);
create index resources_labels on resources using gin (labels jsonb_path_ops);

-- Closed versions only; the current one is in resources. Dropped by partition.
create table resource_versions (
    tenant_id uuid not null,
    resource_id uuid not null,
    revision bigint not null,
    kind text collate "C" not null,
    native_id text collate "C" not null,
    config jsonb not null,
    valid_from timestamptz not null,
    valid_to timestamptz not null,
    -- Whether the version ended because the resource went away.
    gone boolean not null
) partition by range (valid_to);
create index resource_versions_resource on resource_versions (tenant_id, resource_id, valid_to);

-- Configurations are what is large. lz4 costs a fraction of the default's CPU; servers built without it keep the default.
do $$ begin
    alter table resources alter column config set compression lz4;
    alter table resource_versions alter column config set compression lz4;
exception when feature_not_supported then
    null;
end $$;

create table edges (
    tenant_id uuid not null references tenants on delete cascade,
    kind text collate "C" not null,
    from_id uuid not null,
    to_id uuid not null,
    unit_id uuid not null,
    -- The target's native id: a target that is not in the inventory (yet) is pending, not an error.
    to_native text collate "C" not null,
    primary key (tenant_id, from_id, kind, to_id)
);
create index edges_to on edges (tenant_id, to_id, kind);
create index edges_unit on edges (tenant_id, unit_id);

-- What changed and was not assessed yet. Rows are removed by the assessment that read them, if unchanged since.
create table dirty (
    tenant_id uuid not null references tenants on delete cascade,
    unit_id uuid not null,
    -- Nil for "the coverage of this kind changed".
    resource_id uuid not null,
    kind text collate "C" not null,
    namespace text collate "C",
    region text collate "C",
    -- A pod's controller is judged in its place, also when the pod is gone.
    owner_id uuid,
    -- Raised by every further change, so that a change during an assessment is not lost.
    marks bigint not null default 1,
    primary key (tenant_id, unit_id, kind, resource_id)
);
