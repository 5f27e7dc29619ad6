//! Whether the keys that a process was given are those that sealed what is stored.

use std::collections::BTreeSet;

use rampart_domain::{ConnectorId, TenantId};
use secrecy::SecretString;

use crate::keyring::{Keyring, Label, Sealed};
use crate::{Store, StoreError, issuer_key, tenant};

/// Why a process must not go on with its keys. No key and no sealed value is in the text.
#[derive(Debug, thiserror::Error)]
pub enum WrongKey {
    /// A key is missing.
    #[error(
        "{what} are sealed with key `{key_id}`, which is not among the keys given ({given}): add it behind the active one \
         until `rampart admin rotate-key` has run"
    )]
    Missing {
        /// What could not be opened.
        what: &'static str,
        /// The key that sealed it.
        key_id: String,
        /// The keys that the process has.
        given: String,
    },
    /// Another key has the name.
    #[error("the key given as `{key_id}` is not the one that sealed {what}: give the key that had this name")]
    Other {
        /// What could not be opened.
        what: &'static str,
        /// The name of both keys.
        key_id: String,
    },
    /// The database could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Opens one value for every key that sealed any. A value that was damaged or copied by hand counts as one of another key
/// only where no other value of its key opens.
pub async fn check(store: &Store, keyring: &Keyring) -> Result<(), WrongKey> {
    let mut opened = BTreeSet::new();
    let mut refused = None;
    for tenant in tenant::all(store).await? {
        for (key_id, opens) in of_tenant(store, keyring, tenant, &opened).await? {
            if !keyring.has(&key_id) {
                return Err(WrongKey::Missing { what: CREDENTIALS, key_id, given: keyring.ids() });
            }
            if opens {
                opened.insert(key_id);
            } else {
                refused.get_or_insert(key_id);
            }
        }
    }
    if let Some(key_id) = refused.filter(|key_id| !opened.contains(key_id)) {
        return Err(WrongKey::Other { what: CREDENTIALS, key_id });
    }
    for (key_id, opens) in issuer_key::sealed_by(store, keyring).await? {
        if !keyring.has(&key_id) {
            return Err(WrongKey::Missing { what: ISSUER_KEYS, key_id, given: keyring.ids() });
        }
        if !opens {
            return Err(WrongKey::Other { what: ISSUER_KEYS, key_id });
        }
    }
    Ok(())
}

const CREDENTIALS: &str = "stored credentials";
const ISSUER_KEYS: &str = "the issuer's keys";

/// One value of the tenant for each key but those that are known to fit, and whether it opens.
async fn of_tenant(
    store: &Store,
    keyring: &Keyring,
    tenant: TenantId,
    known: &BTreeSet<String>,
) -> Result<Vec<(String, bool)>, StoreError> {
    let known: Vec<String> = known.iter().cloned().collect();
    let mut tx = store.tenant(tenant).await?;
    let rows = sqlx::query!(
        "select distinct on (key_id) key_id, connector_id, field, sealed from credentials
         where tenant_id = $1 and key_id <> all($2) order by key_id, connector_id, field",
        tenant.0,
        &known
    )
    .fetch_all(tx.conn())
    .await?;
    let opens = |connector: ConnectorId, field: &str, sealed: Sealed| {
        let opened: Result<SecretString, _> = keyring.open(&Label { tenant, connector, field }, &sealed);
        opened.is_ok()
    };
    let rows = rows.into_iter().map(|row| {
        let sealed = Sealed { key_id: row.key_id.clone(), bytes: row.sealed };
        (row.key_id, opens(row.connector_id.into(), &row.field, sealed))
    });
    Ok(rows.collect())
}
