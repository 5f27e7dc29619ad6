-- What was known when. `recorded_at` is the moment from which a row stands as it is; what it was before lies in the history
-- of its table, closed. Rows that never changed have no history, so a first reading and a first assessment write none.
--
-- A moment is the database's clock at the first write of a transaction, one for all that the transaction writes. Before
-- that clock is read, the transaction makes known, as the key of an advisory lock that it holds to its end, a time that is
-- not later. So whoever reads the locks knows a moment before which nothing can come any more: the watermark.
create function record_moment() returns timestamptz language plpgsql as $$
declare
    moment timestamptz := nullif(current_setting('app.recorded_at', true), '')::timestamptz;
    micros bigint;
begin
    if moment is null then
        micros := (extract(epoch from clock_timestamp()) * 1000000)::bigint;
        perform pg_advisory_xact_lock_shared((micros >> 31)::int, (micros & 2147483647)::int);
        -- Read after the lock is held: whoever saw no lock has an earlier time.
        moment := clock_timestamp();
        perform set_config('app.recorded_at', moment::text, true);
    end if;
    return moment;
end $$;

-- Everything up to this moment is written, whatever is still running. The statement that reads rows must follow the one that
-- calls this. Keys of two numbers are used by record_moment alone. A standby does not see the locks of its primary.
create function history_watermark() returns timestamptz language plpgsql as $$
declare
    now_at timestamptz := clock_timestamp();
    writing bigint;
begin
    select min((l.classid::bigint << 31) + l.objid::bigint) into writing from pg_locks l
    where l.locktype = 'advisory' and l.objsubid = 2
      and l.database = (select oid from pg_database where datname = current_database());
    return least(now_at, timestamptz 'epoch' + writing * interval '1 microsecond') - interval '1 microsecond';
end $$;

-- Since when there is history at all.
do $$ begin
    execute format('create function history_start() returns timestamptz language sql immutable as %L',
        format('select %L::timestamptz', now()));
end $$;

-- Kinds that come and go too fast to keep: their owners have the history.
create function is_short_lived(kind text) returns boolean language sql immutable parallel safe as $$
    select kind in ('k8s.pod', 'k8s.replicaset', 'k8s.endpointslice', 'k8s.job')
$$;

-- Health by the packed verdicts; an unhealthy finding goes before it.
create function verdict_health(healthy bytea, unknown bytea) returns text language sql immutable parallel safe as $$
    select case when bit_count(unknown) > 0 then 'unknown' when bit_count(healthy) > 0 then 'healthy'
        else 'not_applicable' end
$$;

drop view resource_search;
alter table resources add column recorded_at timestamptz not null default now();
alter table findings add column recorded_at timestamptz not null default now();
-- Of the verdicts only the health is kept, and only changes of it count.
alter table verdicts add column recorded_at timestamptz not null default now();
do $$
declare t text;
begin
    foreach t in array array['resources', 'findings', 'verdicts'] loop
        execute format('alter table %I alter column recorded_at set default current_setting(''app.recorded_at'')::timestamptz', t);
    end loop;
end $$;
create index resources_recorded on resources (tenant_id, recorded_at);
create index findings_recorded on findings (tenant_id, recorded_at);
create view resource_search as
    select * from resources where tenant_id = nullif(current_setting('app.tenant', true), '')::uuid;
-- A new owner needs the right to create in the schema, for this one moment.
grant create on schema public to rampart_search;
alter view resource_search owner to rampart_search;
revoke create on schema public from rampart_search;
grant select on resource_search to rampart_app;

-- The configuration lies in resource_versions, by revision and changed_at.
create table resource_history (
    tenant_id uuid not null,
    resource_id uuid not null,
    unit_id uuid not null,
    cluster_id uuid,
    native_id text collate "C" not null,
    kind text collate "C" not null,
    name text collate "C" not null,
    name_lower text collate "C" not null,
    cloud text collate "C" not null,
    account text collate "C",
    region text collate "C",
    namespace text collate "C",
    labels jsonb not null,
    managed_by text collate "C" not null,
    owner_id uuid,
    active boolean not null,
    hash bytea not null,
    revision bigint not null,
    connector_id uuid not null,
    first_seen timestamptz not null,
    changed_at timestamptz not null,
    -- It stood from here …
    valid_from timestamptz not null,
    -- … until just before here.
    valid_to timestamptz not null
) partition by range (valid_to);
create index resource_history_resource on resource_history (tenant_id, resource_id, valid_to);
create index resource_history_name on resource_history (tenant_id, name, resource_id);
create index resource_history_ended on resource_history (tenant_id, valid_to);
create index resource_history_began on resource_history (tenant_id, valid_from);

create table finding_history (
    tenant_id uuid not null,
    resource_id uuid not null,
    ordinal int not null,
    control_id text collate "C" not null,
    severity smallint not null,
    status text collate "C" not null,
    cause text not null,
    unit_id uuid not null,
    cluster_id uuid,
    account text collate "C",
    namespace text collate "C",
    kind text collate "C" not null,
    first_seen timestamptz not null,
    since timestamptz not null,
    changed_at timestamptz not null,
    evidence jsonb not null,
    scored boolean not null,
    exemption_id uuid,
    risk smallint not null,
    governance_rule_id uuid,
    owner text collate "C",
    due_at timestamptz,
    overdue_at timestamptz,
    valid_from timestamptz not null,
    valid_to timestamptz not null
) partition by range (valid_to);
create index finding_history_finding on finding_history (tenant_id, resource_id, ordinal, valid_to);
create index finding_history_list on finding_history (tenant_id, status, severity, resource_id, ordinal);
create index finding_history_ended on finding_history (tenant_id, valid_to);
create index finding_history_began on finding_history (tenant_id, valid_from);

create table verdict_history (
    tenant_id uuid not null,
    resource_id uuid not null,
    health text not null,
    valid_from timestamptz not null,
    valid_to timestamptz not null
) partition by range (valid_to);
create index verdict_history_resource on verdict_history (tenant_id, resource_id, valid_to);

do $$
declare t text;
begin
    foreach t in array array['resource_history', 'finding_history', 'verdict_history'] loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format($p$create policy tenant on %I
            using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)
            with check (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)$p$, t);
        execute format('grant select, insert on %I to rampart_app', t);
    end loop;
end $$;

create function stamp_statement() returns trigger language plpgsql as $$ begin
    perform record_moment();
    return null;
end $$;

-- A row that another transaction with a later moment changed first goes on from that moment.
create function stamp_row() returns trigger language plpgsql as $$ begin
    new.recorded_at := greatest(old.recorded_at, current_setting('app.recorded_at')::timestamptz);
    return new;
end $$;

-- What a transaction changes twice was never seen in between, and leaves no row.
create function keep_resources() returns trigger language plpgsql as $$
declare moment timestamptz := current_setting('app.recorded_at')::timestamptz;
begin
    insert into resource_history (tenant_id, resource_id, unit_id, cluster_id, native_id, kind, name, name_lower, cloud,
        account, region, namespace, labels, managed_by, owner_id, active, hash, revision, connector_id, first_seen,
        changed_at, valid_from, valid_to)
    select tenant_id, resource_id, unit_id, cluster_id, native_id, kind, name, name_lower, cloud, account, region, namespace,
        labels, managed_by, owner_id, active, hash, revision, connector_id, first_seen, changed_at, recorded_at, moment
    from old_rows where recorded_at < moment and not is_short_lived(kind);
    return null;
end $$;

create function keep_findings() returns trigger language plpgsql as $$
declare moment timestamptz := current_setting('app.recorded_at')::timestamptz;
begin
    insert into finding_history (tenant_id, resource_id, ordinal, control_id, severity, status, cause, unit_id, cluster_id,
        account, namespace, kind, first_seen, since, changed_at, evidence, scored, exemption_id, risk, governance_rule_id,
        owner, due_at, overdue_at, valid_from, valid_to)
    select tenant_id, resource_id, ordinal, control_id, severity, status, cause, unit_id, cluster_id, account, namespace,
        kind, first_seen, since, changed_at, evidence, scored, exemption_id, risk, governance_rule_id, owner, due_at,
        overdue_at, recorded_at, moment
    from old_rows where recorded_at < moment;
    return null;
end $$;

create function keep_verdicts() returns trigger language plpgsql as $$
declare moment timestamptz := current_setting('app.recorded_at')::timestamptz;
begin
    insert into verdict_history (tenant_id, resource_id, health, valid_from, valid_to)
    select o.tenant_id, o.resource_id, verdict_health(o.healthy, o.unknown), o.recorded_at, moment
    from old_rows o join new_rows n using (tenant_id, resource_id) where o.recorded_at < n.recorded_at;
    return null;
end $$;

create function keep_removed_verdicts() returns trigger language plpgsql as $$
declare moment timestamptz := current_setting('app.recorded_at')::timestamptz;
begin
    insert into verdict_history (tenant_id, resource_id, health, valid_from, valid_to)
    select tenant_id, resource_id, verdict_health(healthy, unknown), recorded_at, moment
    from old_rows where recorded_at < moment;
    return null;
end $$;

do $$
declare t text;
begin
    foreach t in array array['resources', 'findings', 'verdicts'] loop
        execute format('create trigger stamp_statement before insert or update or delete on %I
            for each statement execute function stamp_statement()', t);
    end loop;
end $$;

create trigger stamp_row before update on resources for each row
    when (not is_short_lived(old.kind)) execute function stamp_row();
create trigger keep_changed after update on resources referencing old table as old_rows
    for each statement execute function keep_resources();
create trigger keep_removed after delete on resources referencing old table as old_rows
    for each statement execute function keep_resources();

create trigger stamp_row before update on findings for each row execute function stamp_row();
create trigger keep_changed after update on findings referencing old table as old_rows
    for each statement execute function keep_findings();
create trigger keep_removed after delete on findings referencing old table as old_rows
    for each statement execute function keep_findings();

create trigger stamp_row before update on verdicts for each row
    when (verdict_health(old.healthy, old.unknown) <> verdict_health(new.healthy, new.unknown))
    execute function stamp_row();
create trigger keep_changed after update on verdicts referencing old table as old_rows new table as new_rows
    for each statement execute function keep_verdicts();
create trigger keep_removed after delete on verdicts referencing old table as old_rows
    for each statement execute function keep_removed_verdicts();

-- Every partitioned table is one of history, by month, but for the audit log, which has functions of its own. Configurations are
-- kept two days longer than the rows that point at them, which a listing may close that much later.
create or replace function ensure_partitions(until date) returns int language plpgsql security definer
    set search_path from current as $$
declare parent text; month date; made int := 0; part text;
begin
    if until > current_date + 400 then raise exception 'partitions are made at most 400 days ahead'; end if;
    for parent in select c.relname from pg_partitioned_table p join pg_class c on c.oid = p.partrelid
        where c.relnamespace = current_schema()::regnamespace and c.relname <> 'audit_log' order by c.relname
    loop
        month := date_trunc('month', current_date - 31)::date;
        while month <= until loop
            part := parent || to_char(month, '_YYYY_MM');
            if to_regclass(part) is null then
                execute format('create table %I partition of %I for values from (%L) to (%L)',
                    part, parent, month, (month + interval '1 month')::date);
                execute format('alter table %I enable row level security', part);
                execute format('alter table %I force row level security', part);
                made := made + 1;
            end if;
            month := (month + interval '1 month')::date;
        end loop;
    end loop;
    return made;
end $$;

create or replace function drop_partitions(before date) returns int language plpgsql security definer
    set search_path from current as $$
declare part record; dropped int := 0;
begin
    for part in select c.relname, substring(c.relname from '(\d{4}_\d{2})$') as month,
            case when p.relname = 'resource_versions' then 2 else 0 end as longer
        from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_class p on p.oid = i.inhparent
        where p.relkind = 'p' and p.relnamespace = current_schema()::regnamespace and p.relname <> 'audit_log'
    loop
        if (to_date(part.month, 'YYYY_MM') + interval '1 month')::date + part.longer <= before then
            execute format('drop table %I', part.relname);
            dropped := dropped + 1;
        end if;
    end loop;
    return dropped;
end $$;
select ensure_partitions((current_date + 62)::date);

-- The earliest moment that can be read: when history began, or the first month that was not dropped.
create function history_floor() returns timestamptz language sql stable as $$
    select greatest(history_start(), min(to_date(substring(c.relname from '(\d{4}_\d{2})$'), 'YYYY_MM'))::timestamptz)
    from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_class p on p.oid = i.inhparent
    where p.relname in ('resource_history', 'finding_history', 'verdict_history')
      and p.relnamespace = current_schema()::regnamespace
$$;
