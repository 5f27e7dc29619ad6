alter table assessments drop column rules;
drop index findings_risk;
alter table findings drop column risk;
drop table resource_contexts, criticality_rules;
