-- What each caller may still ask for in the current window. Replicas take slices of it. Unlogged: what a crash of the
-- server forgets is at most a window old.
create unlogged table rate_windows (
    tenant_id uuid not null,
    actor_id uuid not null,
    -- Windows since the epoch, by the clock of the database.
    window_no bigint not null,
    -- Requests that replicas took; more than the limit when they asked for what was not there.
    taken bigint not null,
    primary key (tenant_id, actor_id)
) with (fillfactor = 50);
alter table rate_windows enable row level security;
alter table rate_windows force row level security;
create policy tenant on rate_windows
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
grant select, insert, update, delete on rate_windows to rampart_app;
