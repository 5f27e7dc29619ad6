drop table watches;
drop table sightings;
alter table resources drop column provider_version;
alter table connectors drop column watch;
delete from work where kind = 'watch';
