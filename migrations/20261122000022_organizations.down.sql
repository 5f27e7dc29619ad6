drop table plans;
drop table previews;
drop table organization_members;
update coverage set state = 'failed' where state = 'disabled';
alter table coverage drop constraint coverage_state_check;
alter table coverage add constraint coverage_state_check check (state in ('read', 'partial', 'unauthorized', 'denied',
    'throttled', 'unreachable', 'unsupported', 'not_applicable', 'failed'));
-- Without their organisation the accounts' connectors could read nothing; what they had read goes with them.
delete from resources r using connectors c
    where c.parent_id is not null and r.tenant_id = c.tenant_id and r.connector_id = c.connector_id;
delete from work w using connectors c
    where c.parent_id is not null and w.tenant_id = c.tenant_id and w.subject = c.connector_id;
delete from connectors where parent_id is not null;
drop index connectors_account;
alter table connectors drop constraint connectors_parent, drop constraint connectors_member,
    alter column settings drop default,
    drop column parent_id, drop column account, drop column retired_at;
