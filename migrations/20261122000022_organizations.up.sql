-- Organisations: connectors of their accounts, who belongs to them, previews of what a choice would do; and plans.

-- An account of an organisation is read by a connector of its own below the organisation's. It has no settings and no
-- credentials: both are read from the connector above it, so that a change or rotation there reaches every account.
alter table connectors
    add column parent_id uuid,
    add column account text collate "C",
    -- Since when the account is not read any more. What was read before stays until the retention time is over.
    add column retired_at timestamptz,
    alter column settings set default '{}',
    add constraint connectors_parent foreign key (tenant_id, parent_id) references connectors,
    add constraint connectors_member check ((parent_id is null) = (account is null));
create unique index connectors_account on connectors (tenant_id, parent_id, account) where parent_id is not null;

create table organization_members (
    tenant_id uuid not null,
    connector_id uuid not null,
    account text collate "C" not null,
    name text collate "C" not null,
    -- Units above the account, from the root down.
    path text[] not null default '{}',
    state text not null check (state in ('active', 'suspended')),
    -- What an operator decided about this one account; it goes before the organisation's rules.
    choice text check (choice in ('added', 'excluded')),
    decision text not null default 'waiting'
        check (decision in ('included', 'excluded', 'suspended', 'waiting', 'removed')),
    reason text not null default '',
    first_seen timestamptz not null,
    -- Start of the first whole reading of the organisation that did not have it.
    gone_at timestamptz,
    primary key (tenant_id, connector_id, account),
    foreign key (tenant_id, connector_id) references connectors on delete cascade
);
create index organization_members_decision on organization_members (tenant_id, connector_id, decision, account);

create table previews (
    tenant_id uuid not null,
    preview_id uuid not null,
    connector_id uuid not null,
    status text not null check (status in ('queued', 'running', 'succeeded', 'failed')),
    -- {include, exclude, auto_add} to try; null for what the connector has.
    selection jsonb,
    requested_at timestamptz not null default now(),
    finished_at timestamptz,
    -- [{account, name, path, decision, reason, effect}]
    accounts jsonb not null default '[]',
    error text,
    primary key (tenant_id, preview_id),
    foreign key (tenant_id, connector_id) references connectors on delete cascade
);
create index previews_connector on previews (tenant_id, connector_id, requested_at desc);

-- What is switched on where: for an organisation or an account by its connector, for a cluster by its id. No row means as
-- the level above; without any row a plan is on.
create table plans (
    tenant_id uuid not null references tenants on delete cascade,
    scope_id uuid not null,
    scope_type text not null check (scope_type in ('connector', 'cluster')),
    plan text not null check (plan in ('discovery', 'posture')),
    enabled boolean not null,
    -- Since when it is on without a break; null while it is off.
    enabled_at timestamptz,
    updated_at timestamptz not null default now(),
    primary key (tenant_id, scope_id, plan),
    check (enabled = (enabled_at is not null))
);

alter table coverage drop constraint coverage_state_check;
alter table coverage add constraint coverage_state_check check (state in ('read', 'partial', 'unauthorized', 'denied',
    'throttled', 'unreachable', 'unsupported', 'not_applicable', 'failed', 'disabled'));

do $$
declare t text;
begin
    foreach t in array array['organization_members', 'previews', 'plans'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format($p$create policy tenant on %I
            using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)
            with check (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)$p$, t);
        execute format('grant select, insert, update, delete on %I to rampart_app', t);
    end loop;
end $$;
