-- Initiatives, assignments, verdicts, findings, counters.
create table initiatives (
    tenant_id uuid not null references tenants on delete cascade,
    -- The customer's own; those of the product are content files.
    name text collate "C" not null,
    title text not null,
    definition jsonb not null,
    version bigint not null default 1,
    updated_at timestamptz not null default now(),
    primary key (tenant_id, name)
);

create table assignments (
    tenant_id uuid not null references tenants on delete cascade,
    assignment_id uuid not null,
    name text collate "C" not null,
    initiative text collate "C" not null,
    scope_type text not null check (scope_type in ('tenant', 'account', 'cluster', 'namespace')),
    account text collate "C",
    cluster_id uuid,
    namespace text collate "C",
    -- {control id: {parameter: value}}
    params jsonb not null default '{}',
    excluded_namespaces text[] not null default '{}',
    enabled boolean not null default true,
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, assignment_id)
);
create unique index assignments_name on assignments (tenant_id, name);

-- A control with its effective parameters. Append-only: the ordinal is what packed verdicts and findings store.
create table checks (
    tenant_id uuid not null references tenants on delete cascade,
    ordinal int not null,
    control_id text collate "C" not null,
    params_hash bytea not null,
    params jsonb not null,
    primary key (tenant_id, ordinal)
);
create unique index checks_identity on checks (tenant_id, control_id, params_hash);

-- Healthy, not-applicable and unknown verdicts of one resource, as bitmaps over check ordinals.
create table verdicts (
    tenant_id uuid not null references tenants on delete cascade,
    resource_id uuid not null,
    unit_id uuid not null,
    -- Version of the inputs (content, assignments) that it was evaluated against.
    inputs bytea not null,
    revision bigint not null,
    healthy bytea not null,
    not_applicable bytea not null,
    unknown bytea not null,
    -- {ordinal: reason} for the unknown ones.
    reasons jsonb,
    -- Whether it counts: false for what the platform manages.
    scored boolean not null,
    evaluated_at timestamptz not null,
    primary key (tenant_id, resource_id)
);
create index verdicts_unit on verdicts (tenant_id, unit_id);

create table findings (
    tenant_id uuid not null references tenants on delete cascade,
    resource_id uuid not null,
    ordinal int not null,
    control_id text collate "C" not null,
    -- 1 informational … 5 critical.
    severity smallint not null,
    status text collate "C" not null check (status in ('unhealthy', 'healthy', 'not_applicable', 'unknown', 'exempt')),
    cause text not null,
    unit_id uuid not null,
    cluster_id uuid,
    account text collate "C",
    namespace text collate "C",
    kind text collate "C" not null,
    first_seen timestamptz not null,
    -- When the status became what it is.
    since timestamptz not null,
    -- When anything about the row last changed; what `changed_since` reads.
    changed_at timestamptz not null,
    evidence jsonb not null,
    scored boolean not null,
    primary key (tenant_id, resource_id, ordinal)
);
create index findings_list on findings (tenant_id, status, severity, resource_id, ordinal);
create index findings_control on findings (tenant_id, control_id, status, unit_id);
create index findings_unit on findings (tenant_id, unit_id, namespace);
create index findings_changed on findings (tenant_id, changed_at, resource_id, ordinal);

create table finding_events (
    tenant_id uuid not null,
    resource_id uuid not null,
    ordinal int not null,
    at timestamptz not null,
    from_status text not null,
    to_status text not null,
    cause text not null
) partition by range (at);
create index finding_events_finding on finding_events (tenant_id, resource_id, ordinal, at);

-- Verdicts of what counts, per unit and check; kept as deltas in the transaction that writes the verdicts.
create table verdict_counts (
    tenant_id uuid not null references tenants on delete cascade,
    unit_id uuid not null,
    ordinal int not null,
    healthy bigint not null default 0,
    unhealthy bigint not null default 0,
    not_applicable bigint not null default 0,
    unknown bigint not null default 0,
    primary key (tenant_id, unit_id, ordinal)
) with (fillfactor = 60);

-- Resources per unit and score group: unhealthy when any of its checks in the group is.
create table score_counts (
    tenant_id uuid not null references tenants on delete cascade,
    unit_id uuid not null,
    score_group text collate "C" not null,
    healthy bigint not null default 0,
    unhealthy bigint not null default 0,
    unknown bigint not null default 0,
    primary key (tenant_id, unit_id, score_group)
) with (fillfactor = 60);

create table assessments (
    tenant_id uuid not null references tenants on delete cascade,
    unit_id uuid not null,
    -- Hash of content and assignments that the whole unit was last evaluated against.
    inputs bytea,
    assessed_at timestamptz,
    primary key (tenant_id, unit_id)
);
