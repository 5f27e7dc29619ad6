-- A reading that is older than its connector's intervals allow: what rests on it is unknown, no longer kept.
alter table coverage add column expired boolean not null default false;
-- Of the healthy and unhealthy ones, how many stand only because what they rest on could not be read again.
alter table verdict_counts add column stale bigint not null default 0;
alter table score_counts add column stale bigint not null default 0;
