drop view resource_search;
alter table resources alter column config type jsonb using config::jsonb;
alter table resource_versions alter column config type jsonb using config::jsonb;
create view resource_search as
    select * from resources where tenant_id = nullif(current_setting('app.tenant', true), '')::uuid;
-- A new owner needs the right to create in the schema, for this one moment.
grant create on schema public to rampart_search;
alter view resource_search owner to rampart_search;
revoke create on schema public from rampart_search;
grant select on resource_search to rampart_app;
