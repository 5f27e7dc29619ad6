alter table assessments drop column source_rules;
drop table resource_sources;
