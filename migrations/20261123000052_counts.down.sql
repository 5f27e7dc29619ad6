drop trigger count_removed on findings;
drop trigger count_updated on findings;
drop trigger count_inserted on findings;
drop function count_removed();
drop function count_updated();
drop function count_inserted();
drop table unhealthy_counts;
alter table verdict_counts drop column decisive;
