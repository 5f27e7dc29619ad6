-- What others see of a workload, by itself: looking around among thousands of them reads and follows no more than that.
-- Null until the workload is next written; its configuration tells the same.
alter table resources add column outline jsonb;
-- False where a workload changed in nothing that others see.
alter table dirty add column outline_changed boolean not null default true;
