drop table batches, batch_sessions, collectors;
delete from scans where trigger = 'push';
alter table scans drop constraint scans_trigger_check;
alter table scans add constraint scans_trigger_check check (trigger in ('schedule', 'request'));
delete from tokens where connector_id is not null;
alter table tokens drop constraint tokens_connector;
drop index tokens_connector;
alter table tokens drop column connector_id;
