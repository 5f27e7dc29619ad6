drop table custom_source_versions;
drop table custom_sources;
