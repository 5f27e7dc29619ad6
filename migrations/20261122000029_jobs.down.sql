drop table jobs;
delete from work where kind = 'job';
