-- Which permissions each connector declares and which calls it really made; one row for each, however long it runs.
create table permission_uses (
    tenant_id uuid not null,
    connector_id uuid not null,
    permission text collate "C" not null,
    -- API family, such as eks or kubernetes; null while it was never used.
    family text collate "C",
    -- Whether the connector's code names it as needed; what is used beside that is Rampart's own affair.
    declared boolean not null,
    calls bigint not null default 0,
    -- Calls among them that the provider refused for want of the permission.
    refused bigint not null default 0,
    first_used timestamptz,
    last_used timestamptz,
    primary key (tenant_id, connector_id, permission),
    foreign key (tenant_id, connector_id) references connectors on delete cascade
);
alter table permission_uses enable row level security;
alter table permission_uses force row level security;
create policy tenant on permission_uses
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
grant select, insert, update, delete on permission_uses to rampart_app;

-- What a scan that ended had asked of each API family: [{family, calls, throttled, buckets, largest}].
alter table scans add column calls jsonb;
