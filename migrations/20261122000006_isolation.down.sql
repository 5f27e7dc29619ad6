drop function drop_partitions(date);
drop function ensure_partitions(date);
drop view resource_search;
do $$
declare p record;
begin
    for p in select tablename, policyname from pg_policies where schemaname = current_schema() loop
        execute format('drop policy %I on %I', p.policyname, p.tablename);
    end loop;
end $$;
revoke all on all tables in schema public from rampart_app, rampart_search;
