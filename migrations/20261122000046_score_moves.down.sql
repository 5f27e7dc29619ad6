drop table score_moves;
create or replace function ensure_partitions(until date) returns int language plpgsql security definer
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

create or replace function drop_partitions(before date) returns int language plpgsql security definer
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
