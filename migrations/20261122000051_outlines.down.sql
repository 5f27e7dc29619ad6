alter table dirty drop column outline_changed;
alter table resources drop column outline;
