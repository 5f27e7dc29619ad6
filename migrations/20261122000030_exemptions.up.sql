-- Exemptions: deviations that were accepted, with who, why and until when; and controls that are turned off for a scope.
create table exemptions (
    tenant_id uuid not null references tenants on delete cascade,
    exemption_id uuid not null,
    name text collate "C" not null,
    category text not null check (category in ('waiver', 'mitigated')),
    reason text not null,
    approved_by text,
    -- From this moment it holds no more.
    expires_at timestamptz,
    -- Ids of controls or `prefix.*`; null when an initiative says which.
    controls text[],
    initiative text collate "C",
    -- Condition of a resource and an element of it.
    condition jsonb not null,
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, exemption_id),
    check ((controls is null) <> (initiative is null))
);
create unique index exemptions_name on exemptions (tenant_id, name);

-- When an exemption last hid a finding of a unit. Written by the assessment of the unit alone; no foreign key, since whoever
-- changes the exemption waits for that assessment.
create table exemption_uses (
    tenant_id uuid not null references tenants on delete cascade,
    unit_id uuid not null,
    exemption_id uuid not null,
    matched_at timestamptz not null,
    primary key (tenant_id, exemption_id, unit_id)
);

create table disabled_controls (
    tenant_id uuid not null references tenants on delete cascade,
    disabled_control_id uuid not null,
    -- Id of a control or `prefix.*`.
    control text collate "C" not null,
    scope_type text not null check (scope_type in ('tenant', 'account', 'cluster', 'namespace')),
    account text collate "C",
    cluster_id uuid,
    namespace text collate "C",
    reason text not null,
    created_at timestamptz not null default now(),
    primary key (tenant_id, disabled_control_id)
);
create unique index disabled_controls_what on disabled_controls
    (tenant_id, control, scope_type, account, cluster_id, namespace) nulls not distinct;

do $$
declare t text;
begin
    foreach t in array array['exemptions', 'exemption_uses', 'disabled_controls'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format($p$create policy tenant on %I
            using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)
            with check (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)$p$, t);
        execute format('grant select, insert, update, delete on %I to rampart_app', t);
    end loop;
end $$;

-- The exemption by which a finding is exempt; null for any other status.
alter table findings add column exemption_id uuid;
create index findings_exemption on findings (tenant_id, exemption_id) where exemption_id is not null;

-- Exempt verdicts neither earn nor cost score; they are counted so that they stay visible.
alter table verdict_counts add column exempt bigint not null default 0;
-- Resources with an exempt verdict in the group, however else they count.
alter table score_counts add column exempt bigint not null default 0;
