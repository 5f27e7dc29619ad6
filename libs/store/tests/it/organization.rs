//! Organisations in the store: credentials from above, retention of what was retired.

use std::collections::BTreeMap;

use chrono::{Duration, Utc};
use rampart_domain::{ConnectorId, TenantId};
use rampart_store::connector::{self, AwsOrganization, AwsSettings, Change, NewConnector, RoleTrust, Settings};
use rampart_store::keyring::Keyring;
use rampart_store::organization::{self, IsActive, Seen, Selection};
use rampart_store::testing::{TestDatabase, database};
use rampart_store::{Store, admin, retention, scan};
use secrecy::{ExposeSecret as _, SecretString};

fn keyring() -> Keyring {
    Keyring::parse(&SecretString::from("a:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=")).unwrap()
}

fn keys(secret: &str) -> BTreeMap<String, SecretString> {
    BTreeMap::from([("secret_access_key".to_owned(), SecretString::from(secret))])
}

fn seen(accounts: &[&str]) -> Vec<Seen> {
    let seen = |account: &&str| Seen {
        account: (*account).to_owned(),
        name: format!("name of {account}"),
        path: vec!["r".to_owned(), "ou, \"with\" {odd} characters".to_owned()],
        is_active: IsActive::Yes,
    };
    accounts.iter().map(seen).collect()
}

/// A database with an organisation of these accounts.
async fn organization(accounts: &[&str]) -> (TestDatabase, TenantId, ConnectorId) {
    let db = database().await;
    let tenant = admin::create_tenant(&db.store, "one").await.unwrap();
    let mut tx = db.store.tenant(tenant).await.unwrap();
    let settings = Settings::Aws(AwsSettings {
        trust: RoleTrust::ExternalId,
        role_arn: None,
        regions: None,
        partition: "aws".into(),
        kinds: Vec::new(),
        organization: Some(AwsOrganization {
            role_name: "ops/Reader".into(),
            selection: Selection { auto_add: true, ..Selection::default() },
        }),
    });
    let new =
        NewConnector { name: "org".into(), settings, credentials: keys("first"), interval_minutes: 60, watch: false };
    let id = connector::create(&mut tx, &keyring(), &new).await.unwrap().id;
    tx.commit().await.unwrap();
    read(&db.store, tenant, id, accounts).await;
    (db, tenant, id)
}

async fn read(store: &Store, tenant: TenantId, id: ConnectorId, accounts: &[&str]) {
    let mut tx = store.tenant(tenant).await.unwrap();
    organization::record(&mut tx, id, &seen(accounts), Utc::now()).await.unwrap();
    organization::settle(&mut tx, id, Utc::now()).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn an_account_is_read_with_the_credentials_and_settings_of_its_organisation() {
    let (db, tenant, id) = organization(&["111111111111"]).await;
    let mut tx = db.store.tenant(tenant).await.unwrap();
    let child = organization::get(&mut tx, id, "111111111111").await.unwrap().connector.unwrap();
    let secret = |found: BTreeMap<String, SecretString>| found["secret_access_key"].expose_secret().to_owned();
    assert_eq!(secret(connector::credentials(&mut tx, &keyring(), child).await.unwrap()), "first");
    let (parent, row) = (connector::get(&mut tx, id).await.unwrap(), connector::get(&mut tx, child).await.unwrap());
    assert!(parent.external_id.is_some());
    assert_eq!((row.external_id, row.name.as_str()), (parent.external_id, "org:111111111111"));
    let Settings::Aws(aws) = row.settings else { panic!("not aws") };
    assert_eq!(aws.role_arn.as_deref(), Some("arn:aws:iam::111111111111:role/ops/Reader"));
    assert_eq!(aws.organization, None);

    let change = Change { name: Some("renamed".into()), credentials: Some(keys("second")), ..Change::default() };
    connector::update(&mut tx, &keyring(), id, None, &change).await.unwrap();
    assert_eq!(secret(connector::credentials(&mut tx, &keyring(), child).await.unwrap()), "second", "one rotation");
    assert_eq!(connector::get(&mut tx, child).await.unwrap().name, "renamed:111111111111");
    let pause = Change { paused: Some(true), ..Change::default() };
    connector::update(&mut tx, &keyring(), id, None, &pause).await.unwrap();
    assert!(connector::get(&mut tx, child).await.unwrap().paused, "its schedule is off with the organisation's");
    let resume = Change { paused: Some(false), ..Change::default() };
    connector::update(&mut tx, &keyring(), child, None, &resume).await.unwrap();
    assert!(connector::get(&mut tx, child).await.unwrap().paused);
}

#[tokio::test]
async fn what_left_is_retired_and_goes_after_the_retention_time() {
    let (db, tenant, id) = organization(&["111111111111", "222222222222"]).await;
    read(&db.store, tenant, id, &["111111111111"]).await;
    let mut tx = db.store.tenant(tenant).await.unwrap();
    let left = organization::get(&mut tx, id, "222222222222").await.unwrap();
    let child = left.connector.unwrap();
    assert!(left.retired_at.is_some() && left.gone_at.is_some(), "{left:?}");
    assert!(scan::request(&mut tx, child).await.is_err(), "nothing asks it any more");
    tx.commit().await.unwrap();

    retention::sweep(&db.store, Utc::now() + Duration::days(89), 90).await.unwrap();
    let mut tx = db.store.tenant(tenant).await.unwrap();
    assert!(!connector::get(&mut tx, child).await.unwrap().deleting);
    drop(tx);
    retention::sweep(&db.store, Utc::now() + Duration::days(91), 90).await.unwrap();
    let mut tx = db.store.tenant(tenant).await.unwrap();
    assert!(connector::get(&mut tx, child).await.unwrap().deleting);
    assert!(organization::get(&mut tx, id, "222222222222").await.is_err());
    assert!(organization::get(&mut tx, id, "111111111111").await.unwrap().retired_at.is_none());
    drop(tx);
    // An account that comes back while its data is removed waits for the next reading.
    read(&db.store, tenant, id, &["111111111111", "222222222222"]).await;
    db.run(&format!("delete from work; delete from connectors where connector_id = '{child}'")).await;
    read(&db.store, tenant, id, &["111111111111", "222222222222"]).await;
    let mut tx = db.store.tenant(tenant).await.unwrap();
    let back = organization::get(&mut tx, id, "222222222222").await.unwrap();
    assert!(back.connector.is_some_and(|again| again != child) && back.retired_at.is_none(), "{back:?}");
}

#[tokio::test]
async fn reading_the_same_twice_writes_nothing() {
    let (db, tenant, id) = organization(&["111111111111", "222222222222"]).await;
    let rows = async |store: &Store| {
        let mut tx = store.tenant(tenant).await.unwrap();
        let page = rampart_store::page::Page::first(10);
        organization::list(&mut tx, id, &organization::Filter::default(), &page).await.unwrap().items
    };
    let before = rows(&db.store).await;
    db.run(
        "create function refuse() returns trigger language plpgsql as 'begin raise exception ''rewritten''; end';
            create trigger refuse before insert or update on connectors for each row execute function refuse();
            create trigger refuse before update on organization_members for each row execute function refuse();",
    )
    .await;
    read(&db.store, tenant, id, &["222222222222", "111111111111"]).await;
    assert_eq!(rows(&db.store).await, before);
    assert_eq!(before[0].path[1], "ou, \"with\" {odd} characters");
}
