drop index clusters_account;
