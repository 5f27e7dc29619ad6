drop function drop_audit_partitions(date);
drop function ensure_audit_partitions(date);
drop table audit_log;
