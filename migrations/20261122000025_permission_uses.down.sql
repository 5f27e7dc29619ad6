alter table scans drop column calls;
drop table permission_uses;
