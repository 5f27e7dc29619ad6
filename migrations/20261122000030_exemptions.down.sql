alter table score_counts drop column exempt;
alter table verdict_counts drop column exempt;
drop index findings_exemption;
alter table findings drop column exemption_id;
drop table disabled_controls;
drop table exemption_uses;
drop table exemptions;
