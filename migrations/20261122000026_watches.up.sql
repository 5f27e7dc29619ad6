-- Watches: what changes in a cluster is read as it changes, and ordered against the lists of scans.
alter table connectors add column watch boolean not null default false;

-- The provider's version of the object as it was stored; it decides between two readings of one uid.
alter table resources add column provider_version bigint;

-- The latest that a watch said of an object where `resources` does not tell: that it is gone, or that a newer version
-- differs in nothing that is kept. A list that began before may still bring the older one.
create table sightings (
    tenant_id uuid not null references tenants on delete cascade,
    resource_id uuid not null,
    -- Empty for what is derived and has none of its own.
    uid text collate "C" not null,
    unit_id uuid not null,
    provider_version bigint,
    gone boolean not null,
    at timestamptz not null,
    primary key (tenant_id, resource_id, uid)
);
create index sightings_age on sightings (tenant_id, unit_id, at);

create table watches (
    tenant_id uuid not null,
    cluster_id uuid not null,
    connector_id uuid not null,
    -- As in coverage: what the connector lists there is what is watched.
    scope text collate "C" not null,
    -- {kind: resourceVersion} up to which everything was stored.
    positions jsonb not null default '{}',
    state text not null default 'starting' check (state in ('starting', 'watching', 'failing')),
    since timestamptz not null default now(),
    message text,
    -- {kind: {state, message, remedy}} of what only scans read.
    polled jsonb not null default '{}',
    last_event_at timestamptz,
    -- From the arrival of the last event to its commit.
    lag_ms int,
    primary key (tenant_id, cluster_id),
    foreign key (tenant_id, connector_id) references connectors on delete cascade
) with (fillfactor = 70);
create index watches_connector on watches (tenant_id, connector_id);

do $$
declare t text;
begin
    foreach t in array array['sightings', 'watches'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format($p$create policy tenant on %I
            using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)
            with check (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)$p$, t);
        execute format('grant select, insert, update, delete on %I to rampart_app', t);
    end loop;
end $$;
