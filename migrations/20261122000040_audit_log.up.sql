-- Who did what through the API. The application adds and reads; it has no right to change or to remove.
create table audit_log (
    tenant_id uuid not null,
    entry_id uuid not null,
    at timestamptz not null default now(),
    actor_kind text not null check (actor_kind in ('token', 'identity')),
    -- The token, or what is derived from provider and subject.
    actor_id uuid not null,
    actor_name text not null,
    -- Name of the identity provider, and what it calls the caller; null for a token.
    provider text,
    subject text,
    -- Id of the operation in the API's document, method and template of the path.
    operation text collate "C" not null,
    method text not null,
    path text not null,
    -- What the operation was about, and every variable part of the path.
    target text collate "C",
    params jsonb not null,
    -- Null when it is not known.
    address text,
    status int not null,
    -- Code of the problem; null when it succeeded.
    code text,
    request_id text not null,
    -- What was changed, as the API shows it.
    before jsonb,
    after jsonb,
    primary key (tenant_id, entry_id, at)
) partition by range (at);
create index audit_log_time on audit_log (tenant_id, at desc, entry_id desc);
create index audit_log_actor on audit_log (tenant_id, actor_id, at desc, entry_id desc);
create index audit_log_target on audit_log (tenant_id, target, at desc, entry_id desc);
alter table audit_log enable row level security;
alter table audit_log force row level security;
create policy tenant on audit_log
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
grant select, insert on audit_log to rampart_app;

-- Its partitions are months as well, with a period of their own. What is younger than 30 days is dropped for nobody.
create function ensure_audit_partitions(until date) returns int language plpgsql security definer
    set search_path from current as $$
declare month date; made int := 0; part text;
begin
    if until > current_date + 400 then raise exception 'partitions are made at most 400 days ahead'; end if;
    month := date_trunc('month', current_date - 31)::date;
    while month <= until loop
        part := 'audit_log' || to_char(month, '_YYYY_MM');
        if to_regclass(part) is null then
            execute format('create table %I partition of audit_log for values from (%L) to (%L)',
                part, month, (month + interval '1 month')::date);
            execute format('alter table %I enable row level security', part);
            execute format('alter table %I force row level security', part);
            made := made + 1;
        end if;
        month := (month + interval '1 month')::date;
    end loop;
    return made;
end $$;

create function drop_audit_partitions(before date) returns int language plpgsql security definer
    set search_path from current as $$
declare part record; dropped int := 0;
begin
    if before > current_date - 30 then raise exception 'the audit log is kept for 30 days at least'; end if;
    for part in select c.relname, substring(c.relname from '(\d{4}_\d{2})$') as month
        from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'audit_log'::regclass
    loop
        if (to_date(part.month, 'YYYY_MM') + interval '1 month')::date <= before then
            execute format('drop table %I', part.relname);
            dropped := dropped + 1;
        end if;
    end loop;
    return dropped;
end $$;

revoke all on function ensure_audit_partitions(date), drop_audit_partitions(date) from public;
grant execute on function ensure_audit_partitions(date), drop_audit_partitions(date) to rampart_app;
select ensure_audit_partitions((current_date + 62)::date);
