-- Who mends which findings, and by when: by rules, and by hand.
create table governance_rules (
    tenant_id uuid not null references tenants on delete cascade,
    governance_rule_id uuid not null,
    name text collate "C" not null,
    -- The lowest that matches decides; of equal ones the first by name.
    priority int not null,
    scope_type text not null check (scope_type in ('tenant', 'account', 'cluster', 'namespace')),
    account text collate "C",
    cluster_id uuid,
    namespace text collate "C",
    -- Empty means any.
    severities text[] not null default '{}',
    risks text[] not null default '{}',
    -- Patterns of control ids.
    controls text[] not null default '{}',
    -- A Kubernetes label selector over the labels of the resource and of its namespace; null means any.
    selector jsonb,
    -- Fixed, or where the label is missing.
    owner text collate "C",
    -- Label of the resource, or of its namespace, that names the owner.
    owner_label text collate "C",
    -- {severity: days}
    due_days jsonb not null default '{}',
    grace_period_days smallint not null default 0,
    enabled boolean not null default true,
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, governance_rule_id)
);
create unique index governance_rules_name on governance_rules (tenant_id, name);

-- What people decided about a finding. By control, not by check: it outlives other parameters and later versions.
create table finding_assignments (
    tenant_id uuid not null references tenants on delete cascade,
    resource_id uuid not null,
    control_id text collate "C" not null,
    owner text collate "C",
    due_at timestamptz,
    note text not null default '',
    -- The token of who decided.
    set_by uuid not null,
    set_at timestamptz not null,
    version bigint not null default 1,
    primary key (tenant_id, resource_id, control_id)
);

do $$
declare t text;
begin
    foreach t in array array['governance_rules', 'finding_assignments'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format($p$create policy tenant on %I
            using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)
            with check (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)$p$, t);
        execute format('grant select, insert, update, delete on %I to rampart_app', t);
    end loop;
end $$;

-- Start of the period in which it was not seen healthy: a time in which it could not be judged does not end it.
alter table findings add column open_since timestamptz generated always as (case when status = 'unhealthy' then since end) stored;
alter table findings alter column open_since drop expression;
alter table findings
    -- What the rules say.
    add column governance_rule_id uuid,
    add column rule_owner text collate "C",
    add column due_days smallint,
    add column grace_period_days smallint not null default 0,
    -- What people said: a copy of finding_assignments.
    add column set_owner text collate "C",
    add column set_due_at timestamptz;
-- What holds. Days have 24 hours: an interval of days is added in UTC, which has no summer time.
alter table findings
    add column owner text collate "C" generated always as (coalesce(set_owner, rule_owner)) stored,
    add column due_at timestamptz generated always as (case when status = 'unhealthy' then
        coalesce(set_due_at, (coalesce(open_since, since) at time zone 'UTC' + due_days * interval '1 day')
            at time zone 'UTC') end) stored,
    add column overdue_at timestamptz generated always as (case when status = 'unhealthy' then
        (coalesce(set_due_at at time zone 'UTC',
                  coalesce(open_since, since) at time zone 'UTC' + due_days * interval '1 day')
            + grace_period_days * interval '1 day') at time zone 'UTC' end) stored;
create index findings_due on findings (tenant_id, due_at, resource_id, ordinal) where due_at is not null;
create index findings_owner on findings (tenant_id, owner, severity, resource_id, ordinal) where owner is not null;
