alter table score_counts drop column stale;
alter table verdict_counts drop column stale;
alter table coverage drop column expired;
