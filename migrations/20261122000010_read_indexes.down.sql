drop index resources_changed;
drop index resources_digest;
