drop table work;
