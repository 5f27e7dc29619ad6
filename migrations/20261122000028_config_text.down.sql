drop view resource_search;
alter table resources alter column config type jsonb using config::jsonb;
alter table resource_versions alter column config type jsonb using config::jsonb;
-- The columns that it had before: those that came meanwhile must not be held by it, since their migrations go back next.
create view resource_search as
    select tenant_id, resource_id, unit_id, cluster_id, native_id, kind, name, name_lower, cloud, account,
        region, namespace, labels, managed_by, owner_id, active, uid, config, hash, revision, connector_id,
        scope, first_seen, changed_at
    from resources where tenant_id = nullif(current_setting('app.tenant', true), '')::uuid;
-- A new owner needs the right to create in the schema, for this one moment.
grant create on schema public to rampart_search;
alter view resource_search owner to rampart_search;
revoke create on schema public from rampart_search;
grant select on resource_search to rampart_app;
