delete from plans where plan = 'discovery.kubernetes';
alter table plans drop constraint plans_plan_check;
alter table plans add constraint plans_plan_check check (plan in ('discovery', 'posture'));
