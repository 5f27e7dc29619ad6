drop table dirty;
drop table edges;
drop table resource_versions;
drop table resources;
drop table clusters;
