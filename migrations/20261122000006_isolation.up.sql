-- The second lock: no row of another tenant, whatever the query says.
do $$
declare t text;
begin
    for t in select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = current_schema() and c.relkind in ('r', 'p') and not c.relispartition
          and c.relname <> '_sqlx_migrations'
    loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format($p$create policy tenant on %I
            using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)
            with check (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)$p$, t);
        execute format('grant select, insert, update, delete on %I to rampart_app', t);
    end loop;
end $$;

-- Named exceptions. A token is looked up by its hash before the tenant is known; workers claim for every tenant.
create policy lookup on tokens for select
    using (hash = decode(nullif(current_setting('app.token_hash', true), ''), 'hex'));
create policy worker on work
    using (current_setting('app.worker', true) = 'on') with check (current_setting('app.worker', true) = 'on');
create policy worker on tenants for select using (current_setting('app.worker', true) = 'on');
create policy worker on idempotency_keys for delete using (current_setting('app.worker', true) = 'on');
create policy worker_read on idempotency_keys for select using (current_setting('app.worker', true) = 'on');

-- Substring and label search. Operators that are not leakproof cannot use an index under row-level security, so a role
-- without login owns a view that states the tenant itself.
grant select on resources to rampart_search;
create policy search on resources for select to rampart_search using (true);
create view resource_search as
    select * from resources where tenant_id = nullif(current_setting('app.tenant', true), '')::uuid;
-- A new owner needs the right to create in the schema, for this one moment.
grant create on schema public to rampart_search;
alter view resource_search owner to rampart_search;
revoke create on schema public from rampart_search;
grant select on resource_search to rampart_app;

-- History is partitioned by month. The application role may call these two and nothing else of the kind.
create function ensure_partitions(until date) returns int language plpgsql security definer
    set search_path from current as $$
declare parent text; month date; made int := 0; part text;
begin
    if until > current_date + 400 then raise exception 'partitions are made at most 400 days ahead'; end if;
    foreach parent in array array['resource_versions', 'finding_events'] loop
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

create function drop_partitions(before date) returns int language plpgsql security definer
    set search_path from current as $$
declare part record; dropped int := 0;
begin
    for part in select c.relname, substring(c.relname from '(\d{4}_\d{2})$') as month
        from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_class p on p.oid = i.inhparent
        where p.relname in ('resource_versions', 'finding_events') and p.relnamespace = current_schema()::regnamespace
    loop
        if (to_date(part.month, 'YYYY_MM') + interval '1 month')::date <= before then
            execute format('drop table %I', part.relname);
            dropped := dropped + 1;
        end if;
    end loop;
    return dropped;
end $$;

revoke all on function ensure_partitions(date), drop_partitions(date) from public;
grant execute on function ensure_partitions(date), drop_partitions(date) to rampart_app;
select ensure_partitions((current_date + 62)::date);
