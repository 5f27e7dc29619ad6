-- Clusters that push: a collector's token and key, its sessions, and the batches that wait to be taken up.
alter table tokens add column connector_id uuid;
-- A collector's token goes with its connector.
alter table tokens add constraint tokens_connector foreign key (tenant_id, connector_id) references connectors on delete cascade;
create index tokens_connector on tokens (tenant_id, connector_id) where connector_id is not null;

alter table scans drop constraint scans_trigger_check;
alter table scans add constraint scans_trigger_check check (trigger in ('schedule', 'request', 'push'));

create table collectors (
    tenant_id uuid not null,
    connector_id uuid not null,
    -- The token that is valid now; null when it was revoked.
    token_id uuid,
    -- Ed25519, of the token that is valid now; the private half is shown once and never stored.
    public_key bytea,
    -- Uid of the cluster, from the first session that told it; null again after a rotation.
    kube_uid text collate "C",
    -- Start of the newest session that closed or was taken up: earlier ones are refused.
    newest_at timestamptz,
    -- When the last session was taken up, or the collector was made.
    taken_at timestamptz not null default now(),
    rotated_at timestamptz not null default now(),
    primary key (tenant_id, connector_id),
    foreign key (tenant_id, connector_id) references connectors on delete cascade
);

create table batch_sessions (
    tenant_id uuid not null,
    session_id uuid not null,
    connector_id uuid not null,
    -- By the collector's clock.
    started_at timestamptz not null,
    state text not null check (state in ('open', 'closed', 'abandoned', 'taking', 'applied', 'failed',
        'superseded')),
    -- When its last batch came; null for a session that was never finished.
    closed_at timestamptz,
    next_sequence int not null default 0,
    -- Stored bytes, while they are stored.
    bytes bigint not null default 0,
    -- SHA-256 of the batch that came last: it may come again after the batches are gone.
    last_digest bytea,
    scan_id uuid,
    error text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, session_id),
    foreign key (tenant_id, connector_id) references connectors on delete cascade
);
create index batch_sessions_connector on batch_sessions (tenant_id, connector_id, started_at);
-- What waits is little; it is summed with every batch.
create index batch_sessions_waiting on batch_sessions (tenant_id, session_id) include (bytes) where state in ('open', 'closed', 'abandoned', 'taking');

create table batches (
    tenant_id uuid not null,
    session_id uuid not null,
    sequence int not null,
    digest bytea not null,
    body bytea not null,
    primary key (tenant_id, session_id, sequence),
    foreign key (tenant_id, session_id) references batch_sessions on delete cascade
);
-- Bodies are compressed when they come.
alter table batches alter body set storage external;

do $$
declare t text;
begin
    foreach t in array array['collectors', 'batch_sessions', 'batches'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format($p$create policy tenant on %I
            using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)
            with check (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)$p$, t);
        execute format('grant select, insert, update, delete on %I to rampart_app', t);
    end loop;
end $$;
