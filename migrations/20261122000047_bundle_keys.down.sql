drop table bundle_keys;
delete from work where kind = 'job' and subject in (select job_id from jobs where kind = 'finding_bundle');
delete from jobs where kind = 'finding_bundle';
