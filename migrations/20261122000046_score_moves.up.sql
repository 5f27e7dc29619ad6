-- By how much the counters behind the secure score moved, and why: one row per minute, unit, score group and cause, written
-- with the counters. From the counters of now and these rows follow those of any minute since.
create table score_moves (
    tenant_id uuid not null references tenants on delete cascade,
    unit_id uuid not null,
    -- The minute that begins here.
    at timestamptz not null check (at = date_trunc('minute', at, 'UTC')),
    score_group text collate "C" not null,
    cause text collate "C" not null check (cause in ('resource_new', 'finding_new', 'fixed', 'changed', 'content',
        'exempted', 'exemption_ended', 'access_lost', 'access_regained', 'resource_gone')),
    -- As in score_counts.
    healthy bigint not null,
    unhealthy bigint not null,
    unknown bigint not null,
    stale bigint not null,
    exempt bigint not null,
    primary key (tenant_id, unit_id, at, score_group, cause)
) partition by range (at);
create index score_moves_at on score_moves (tenant_id, at);
alter table score_moves enable row level security;
alter table score_moves force row level security;
create policy tenant on score_moves
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
grant select, insert, update, delete on score_moves to rampart_app;

select ensure_partitions((current_date + 62)::date);
