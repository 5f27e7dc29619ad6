drop index findings_owner, findings_due;
alter table findings drop column overdue_at, drop column due_at, drop column owner;
alter table findings drop column set_due_at, drop column set_owner, drop column grace_period_days, drop column due_days,
    drop column rule_owner, drop column governance_rule_id, drop column open_since;
drop table finding_assignments, governance_rules;
