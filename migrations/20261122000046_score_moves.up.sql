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

-- Every partitioned table is history by month.
create or replace function ensure_partitions(until date) returns int language plpgsql security definer
    set search_path from current as $$
declare parent text; month date; made int := 0; part text;
begin
    if until > current_date + 400 then raise exception 'partitions are made at most 400 days ahead'; end if;
    for parent in select c.relname from pg_class c
        where c.relkind = 'p' and c.relnamespace = current_schema()::regnamespace order by c.relname
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
    for part in select c.relname, substring(c.relname from '(\d{4}_\d{2})$') as month
        from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_class p on p.oid = i.inhparent
        where p.relkind = 'p' and p.relnamespace = current_schema()::regnamespace
    loop
        if (to_date(part.month, 'YYYY_MM') + interval '1 month')::date <= before then
            execute format('drop table %I', part.relname);
            dropped := dropped + 1;
        end if;
    end loop;
    return dropped;
end $$;
select ensure_partitions((current_date + 62)::date);
