do $$
declare t text;
begin
    foreach t in array array['resources', 'findings', 'verdicts'] loop
        execute format('drop trigger stamp_statement on %I', t);
        execute format('drop trigger stamp_row on %I', t);
        execute format('drop trigger keep_changed on %I', t);
        execute format('drop trigger keep_removed on %I', t);
    end loop;
end $$;
drop function history_floor(), stamp_statement(), stamp_row(), keep_resources(), keep_findings(), keep_verdicts(),
    keep_removed_verdicts();
drop table resource_history, finding_history, verdict_history;
drop view resource_search;
alter table resources drop column recorded_at;
alter table findings drop column recorded_at;
alter table verdicts drop column recorded_at;
create view resource_search as
    select * from resources where tenant_id = nullif(current_setting('app.tenant', true), '')::uuid;
-- A new owner needs the right to create in the schema, for this one moment.
grant create on schema public to rampart_search;
alter view resource_search owner to rampart_search;
revoke create on schema public from rampart_search;
grant select on resource_search to rampart_app;
drop function history_watermark(), record_moment(), history_start(), is_short_lived(text), verdict_health(bytea, bytea);
-- The functions of partitions go on as they are: they take the tables that there are.
