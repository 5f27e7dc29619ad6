-- Configurations are read and written whole: kept as the text they came in, a fifth of the work of taking them apart into
-- jsonb and putting them together again. Operators of json still reach into them where a statement must.
drop view resource_search;
alter table resources alter column config type json using config::json;
alter table resource_versions alter column config type json using config::json;
do $$
begin
    alter table resources alter column config set compression lz4;
    alter table resource_versions alter column config set compression lz4;
exception when feature_not_supported then
    null;
end $$;
create view resource_search as
    select * from resources where tenant_id = nullif(current_setting('app.tenant', true), '')::uuid;
-- A new owner needs the right to create in the schema, for this one moment.
grant create on schema public to rampart_search;
alter view resource_search owner to rampart_search;
revoke create on schema public from rampart_search;
grant select on resource_search to rampart_app;
