-- Parts of a plan that can be switched by themselves are stored beside it, as `plan.part`.
alter table plans drop constraint plans_plan_check;
alter table plans add constraint plans_plan_check check (plan in ('discovery', 'discovery.kubernetes', 'posture'));
