-- Work that a caller asked for and looks at again: its request, how far it is, its result.
create table jobs (
    tenant_id uuid not null references tenants on delete cascade,
    job_id uuid not null,
    kind text collate "C" not null,
    status text not null default 'queued' check (status in ('queued', 'running', 'succeeded', 'failed')),
    -- The token that asked, and the part of the tenant that it could see: a job reads no more, and shows it to nobody else
    -- than who sees everything.
    token_id uuid not null,
    visible jsonb not null,
    request jsonb not null,
    -- Steps done, of how many; null until that is known.
    done bigint not null default 0,
    total bigint,
    result jsonb,
    error text,
    requested_at timestamptz not null default now(),
    started_at timestamptz,
    finished_at timestamptz,
    primary key (tenant_id, job_id)
);
create index jobs_list on jobs (tenant_id, kind, requested_at desc, job_id desc);
alter table jobs enable row level security;
alter table jobs force row level security;
create policy tenant on jobs
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
grant select, insert, update, delete on jobs to rampart_app;
