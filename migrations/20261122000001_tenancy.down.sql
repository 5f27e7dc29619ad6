drop table idempotency_keys;
drop table grants;
drop table tokens;
drop table tenants;
