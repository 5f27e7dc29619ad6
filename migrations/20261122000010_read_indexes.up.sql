-- Images are found by digest, whatever names them. Reached through the view resource_search: a regular expression is not
-- leakproof and would not use its index under row-level security.
create index resources_digest on resources (tenant_id, (substring(native_id from 'sha256:[0-9a-f]{64}')))
    where kind in ('image.running', 'aws.ecr.image');
-- Lists sorted by the latest change.
create index resources_changed on resources (tenant_id, changed_at, resource_id);
