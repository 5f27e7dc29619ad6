-- Risk of findings: what is known of where their resources stand, rules that say how much depends on them, and the level.
create table criticality_rules (
    tenant_id uuid not null references tenants on delete cascade,
    criticality_rule_id uuid not null,
    name text collate "C" not null,
    scope_type text not null check (scope_type in ('tenant', 'account', 'cluster', 'namespace')),
    account text collate "C",
    cluster_id uuid,
    namespace text collate "C",
    -- Patterns of names; empty means any namespace, and none.
    namespaces text[] not null default '{}',
    -- A Kubernetes label selector over the labels of the resource and of its namespace; null means any.
    selector jsonb,
    level text not null check (level in ('critical', 'high', 'low')),
    enabled boolean not null default true,
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, criticality_rule_id)
);
create unique index criticality_rules_name on criticality_rules (tenant_id, name);

-- Circumstances of a judged resource; no row where there are none.
create table resource_contexts (
    tenant_id uuid not null references tenants on delete cascade,
    resource_id uuid not null,
    unit_id uuid not null,
    namespace text collate "C",
    -- What the factors weigh together; risk follows from it and the severity.
    weight smallint not null,
    -- [{factor, because}]
    factors jsonb not null,
    primary key (tenant_id, resource_id)
);
create index resource_contexts_unit on resource_contexts (tenant_id, unit_id);

do $$
declare t text;
begin
    foreach t in array array['criticality_rules', 'resource_contexts'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format($p$create policy tenant on %I
            using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)
            with check (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)$p$, t);
        execute format('grant select, insert, update, delete on %I to rampart_app', t);
    end loop;
end $$;

-- 1 low … 4 critical. Rows that are there get the level of a resource without circumstances: row-level security hides them
-- from an update, not from the expression of a column.
alter table findings add column risk smallint generated always as (greatest(severity - 1, 1)) stored;
alter table findings alter column risk drop expression;
alter table findings alter column risk set not null, alter column risk set default 1;
create index findings_risk on findings (tenant_id, status, risk, severity, resource_id, ordinal);

-- Fingerprint of the rules that risk, owners and due dates of the unit's findings follow from.
alter table assessments add column rules bytea;
