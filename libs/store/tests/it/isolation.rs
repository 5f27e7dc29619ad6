//! Row-level security holds on every table, and the check that says so notices when it does not.

use rampart_domain::TenantId;
use rampart_store::testing::{TestDatabase, database};
use rampart_store::{AccessScope, Role, StoreError, admin};
use secrecy::SecretString;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use uuid::Uuid;

/// Tables of the schema, partitions included.
const TABLES: &str =
    "select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = current_schema() and c.relkind in ('r', 'p') and c.relname <> '_sqlx_migrations' order by 1";

async fn superuser(db: &TestDatabase) -> PgConnection {
    PgConnection::connect(&db.super_url).await.unwrap()
}

async fn tables(conn: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar(TABLES).fetch_all(conn).await.unwrap()
}

/// What a policy must ask, of rows that are read and of rows that are written.
const OWN: &str = "(tenant_id = (NULLIF(current_setting('app.tenant'::text, true), ''::text))::uuid)";

/// What is wrong with the protection of tables, as the catalogue states it.
async fn unprotected(conn: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar(
        "select c.relname || ': ' || case
             when not c.relrowsecurity then 'row-level security is off'
             when not c.relforcerowsecurity then 'row-level security is not forced on the owner'
             when not c.relispartition and not exists (select from pg_policy p where p.polrelid = c.oid and p.polname = 'tenant')
                 then 'no tenant policy'
             when exists (select from pg_policy p where p.polrelid = c.oid and p.polname = 'tenant'
                            and (p.polcmd <> '*' or pg_get_expr(p.polqual, p.polrelid) is distinct from $1
                              or coalesce(pg_get_expr(p.polwithcheck, p.polrelid), $1) <> $1))
                 then 'the tenant policy asks something else'
             else 'tenant_id does not lead the key' end
         from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = current_schema() and c.relkind in ('r', 'p') and c.relname <> '_sqlx_migrations'
           and (not c.relrowsecurity or not c.relforcerowsecurity
             or (not c.relispartition
                 and not exists (select from pg_policy p where p.polrelid = c.oid and p.polname = 'tenant'
                                   and p.polcmd = '*' and pg_get_expr(p.polqual, p.polrelid) = $1
                                   and coalesce(pg_get_expr(p.polwithcheck, p.polrelid), $1) = $1))
             or not exists (select from pg_index i join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
                            where i.indrelid = c.oid and a.attname = 'tenant_id')
             or exists (select from pg_index i join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
                        where i.indrelid = c.oid and i.indisprimary and a.attname <> 'tenant_id'))
         order by 1",
    )
    .bind(OWN)
    .fetch_all(conn)
    .await
    .unwrap()
}

/// One row in every table, made up from the types of its columns; constraints are switched off for it.
async fn fill(conn: &mut PgConnection, tenant: TenantId) {
    sqlx::query("set session_replication_role = replica").execute(&mut *conn).await.unwrap();
    for table in tables(conn).await {
        let partition: bool = sqlx::query_scalar("select relispartition from pg_class where oid = $1::regclass")
            .bind(&table)
            .fetch_one(&mut *conn)
            .await
            .unwrap();
        if partition {
            continue;
        }
        let checks: Vec<String> = sqlx::query_scalar(
            "select conname::text from pg_constraint where conrelid = $1::regclass and contype = 'c'",
        )
        .bind(&table)
        .fetch_all(&mut *conn)
        .await
        .unwrap();
        for check in checks {
            let drop = format!("alter table {table} drop constraint {check}");
            sqlx::query(AssertSqlSafe(drop)).execute(&mut *conn).await.unwrap();
        }
        let columns = sqlx::query(
            "select attname::text as name, format_type(atttypid, null) as kind from pg_attribute
             where attrelid = $1::regclass and attnum > 0 and not attisdropped and attgenerated = '' order by attnum",
        )
        .bind(&table)
        .fetch_all(&mut *conn)
        .await
        .unwrap();
        let values: Vec<String> = columns
            .iter()
            .map(|column| match (column.get::<String, _>("name").as_str(), column.get::<String, _>("kind").as_str()) {
                ("tenant_id", _) => format!("'{tenant}'"),
                (_, "uuid" | "text") => format!("'{}'", Uuid::new_v4()),
                (_, "bytea") => format!("'{}'", Uuid::new_v4().simple()),
                (_, "json" | "jsonb" | "text[]" | "uuid[]") => "'{}'".to_owned(),
                (_, "boolean") => "false".to_owned(),
                (_, kind) if kind.starts_with("timestamp") => "now()".to_owned(),
                _ => "1".to_owned(),
            })
            .collect();
        let names: Vec<String> = columns.iter().map(|column| column.get("name")).collect();
        let insert = format!("insert into {table} ({}) values ({})", names.join(", "), values.join(", "));
        sqlx::query(AssertSqlSafe(insert.clone()))
            .execute(&mut *conn)
            .await
            .unwrap_or_else(|e| panic!("{insert}: {e}"));
    }
}

/// Tables of which `reader` sees rows of anybody but itself.
async fn leaks(db: &TestDatabase, reader: TenantId) -> Vec<String> {
    let mut app = PgConnection::connect(&db.app_url).await.unwrap();
    let names = tables(&mut superuser(db).await).await;
    sqlx::query("select set_config('app.tenant', $1, false)").bind(reader.to_string()).execute(&mut app).await.unwrap();
    let mut leaks = Vec::new();
    for table in names {
        let foreign = format!("select count(*) from {table} where tenant_id <> '{reader}'");
        // The application has no rights on partitions as such: it reaches them through their parent.
        if let Ok(rows) = sqlx::query_scalar::<_, i64>(AssertSqlSafe(foreign)).fetch_one(&mut app).await
            && rows > 0
        {
            leaks.push(table);
        }
    }
    leaks
}

#[tokio::test]
async fn no_table_shows_rows_of_another_tenant() {
    let db = database().await;
    let mut conn = superuser(&db).await;
    assert_eq!(unprotected(&mut conn).await, Vec::<String>::new());
    let (one, two) = (TenantId(Uuid::new_v4()), TenantId(Uuid::new_v4()));
    fill(&mut conn, one).await;
    fill(&mut conn, two).await;
    assert_eq!(leaks(&db, one).await, Vec::<String>::new());
    let mut tx = db.store.tenant(two).await.unwrap();
    assert_eq!(rampart_store::tenant::get(&mut tx).await.unwrap().tenant_id, two.0, "and its own rows are there");
}

#[tokio::test]
async fn the_check_notices_every_policy_that_is_taken_away() {
    let db = database().await;
    let mut conn = superuser(&db).await;
    let (one, two) = (TenantId(Uuid::new_v4()), TenantId(Uuid::new_v4()));
    fill(&mut conn, one).await;
    fill(&mut conn, two).await;
    for table in tables(&mut conn).await {
        let partition: bool = sqlx::query_scalar("select relispartition from pg_class where oid = $1::regclass")
            .bind(&table)
            .fetch_one(&mut conn)
            .await
            .unwrap();
        if partition {
            continue;
        }
        db.run(&format!("alter table {table} disable row level security")).await;
        assert_eq!(leaks(&db, two).await, std::slice::from_ref(&table), "rows of {table} are open and nobody noticed");
        assert_eq!(unprotected(&mut conn).await, [format!("{table}: row-level security is off")]);
        db.run(&format!("alter table {table} enable row level security; drop policy tenant on {table}")).await;
        assert_eq!(unprotected(&mut conn).await, [format!("{table}: no tenant policy")]);
        let own = "(tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)";
        db.run(&format!("create policy tenant on {table} using (true) with check {own}")).await;
        assert_eq!(leaks(&db, two).await, std::slice::from_ref(&table), "everybody reads {table} and nobody noticed");
        assert_eq!(unprotected(&mut conn).await, [format!("{table}: the tenant policy asks something else")]);
        db.run(&format!("alter policy tenant on {table} using {own} with check (true)")).await;
        assert_eq!(unprotected(&mut conn).await, [format!("{table}: the tenant policy asks something else")]);
        db.run(&format!("alter policy tenant on {table} with check {own}")).await;
        assert_eq!(unprotected(&mut conn).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn writing_for_another_tenant_is_refused() {
    let db = database().await;
    let one = admin::create_tenant(&db.store, "one").await.unwrap();
    let mut app = PgConnection::connect(&db.app_url).await.unwrap();
    sqlx::query("select set_config('app.tenant', $1, false)")
        .bind(Uuid::new_v4().to_string())
        .execute(&mut app)
        .await
        .unwrap();
    let insert =
        format!("insert into initiatives (tenant_id, name, title, definition) values ('{one}', 'n', 't', '{{}}')");
    let error = sqlx::query(AssertSqlSafe(insert)).execute(&mut app).await.unwrap_err().to_string();
    assert!(error.contains("row-level security"), "{error}");
    let stolen = sqlx::query("update tenants set name = 'mine'").execute(&mut app).await.unwrap();
    assert_eq!(stolen.rows_affected(), 0);
}

#[tokio::test]
async fn the_process_refuses_roles_that_row_level_security_does_not_bind() {
    let db = database().await;
    for url in [&db.super_url, &db.owner_url] {
        let error = rampart_store::Store::connect(&SecretString::from(url.clone()), 1).await.unwrap_err();
        assert!(matches!(error, StoreError::UnsafeRole { .. }), "{error}");
    }
}

#[tokio::test]
async fn sealed_credentials_survive_a_change_of_keys_and_no_swap() {
    use rampart_store::connector::{self, AwsSettings, NewConnector, RoleTrust, Settings};
    use rampart_store::keyring::Keyring;
    use secrecy::ExposeSecret as _;

    let db = database().await;
    let tenant = admin::create_tenant(&db.store, "one").await.unwrap();
    let ring = |text: &str| Keyring::parse(&SecretString::from(text)).unwrap();
    let (old, new) =
        ("a:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", "b:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=");
    let mut tx = db.store.tenant(tenant).await.unwrap();
    let mut ids = Vec::new();
    for name in ["x", "y"] {
        let settings = Settings::Aws(AwsSettings {
            role_arn: None,
            regions: None,
            partition: "aws".into(),
            kinds: vec![],
            trust: RoleTrust::ExternalId,
            organization: None,
        });
        let credentials = [("secret_access_key".to_owned(), SecretString::from(format!("secret-{name}")))].into();
        let made = NewConnector { name: name.into(), settings, credentials, interval_minutes: 60, watch: false };
        ids.push(connector::create(&mut tx, &ring(old), &made).await.unwrap().id);
    }
    tx.commit().await.unwrap();
    let both = ring(&format!("{new}\n{old}"));
    assert_eq!(connector::reseal(&db.store, &both).await.unwrap(), 2);
    assert_eq!(connector::reseal(&db.store, &both).await.unwrap(), 0);
    let mut tx = db.store.tenant(tenant).await.unwrap();
    let opened = connector::credentials(&mut tx, &ring(new), ids[0]).await.unwrap();
    assert_eq!(opened["secret_access_key"].expose_secret(), "secret-x");
    drop(tx);
    db.run(&format!(
        "update credentials set sealed = (select sealed from credentials where connector_id = '{}')",
        ids[0]
    ))
    .await;
    let mut tx = db.store.tenant(tenant).await.unwrap();
    let swapped = connector::credentials(&mut tx, &ring(new), ids[1]).await;
    assert!(matches!(swapped, Err(StoreError::Seal(_))), "{swapped:?}");
    let token = admin::create_token(&db.store, tenant, "t", Role::Owner, AccessScope::Tenant, 1).await.unwrap();
    let found = rampart_store::token::authenticate(&db.store, &rampart_store::token::hash(token.expose_secret())).await;
    assert_eq!(found.unwrap().unwrap().access.tenant, tenant);
}
