drop function webhook_finding;
drop function webhook_wants;
drop table webhook_deliveries;
drop table webhook_events;
drop table webhook_secrets;
drop table webhooks;
delete from work where kind = 'notify';
