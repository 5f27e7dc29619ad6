-- What changes in an account concerns its clusters: they are found at every listing of it.
create index clusters_account on clusters (tenant_id, account);
