drop index resources_digest;
create index resources_digest on resources (tenant_id, (substring(native_id from 'sha256:[0-9a-f]{64}')))
    where kind in ('image.running', 'aws.ecr.image');
alter table connectors drop constraint connectors_provider_check;
alter table connectors add constraint connectors_provider_check
    check (provider in ('aws', 'azure', 'kubernetes')) not valid;
