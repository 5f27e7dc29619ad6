drop table coverage;
drop table scans;
drop table preflights;
drop table credentials;
drop table connectors;
