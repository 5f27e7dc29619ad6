alter table connectors drop constraint connectors_provider_check;
alter table connectors add constraint connectors_provider_check
    check (provider in ('aws', 'kubernetes')) not valid;
