//! API tokens: who a secret belongs to and what it may do. Only the SHA-256 of a secret is stored.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use rampart_domain::{ClusterId, ConnectorId, TenantId, TokenId};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use crate::page::{Listed, Page};
use crate::{Access, AccessScope, Actor, Grant, Store, StoreError, TenantTx};

/// What every secret begins with, so that scanners for leaked secrets recognise it.
pub const PREFIX: &str = "rmp_";

/// A token without its secret.
#[derive(Debug, Clone)]
pub struct Token {
    /// Its id.
    pub token_id: TokenId,
    /// Name that its maker chose.
    pub name: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it stops working by itself.
    pub expires_at: DateTime<Utc>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was last used, to the hour.
    pub last_used_at: Option<DateTime<Utc>>,
    /// What it may do where.
    pub grants: Vec<Grant>,
    /// The connector that a collector pushes to with it.
    pub connector: Option<ConnectorId>,
}

/// What a token is made from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewToken<'a> {
    /// Name, to tell it from others.
    pub(crate) name: &'a str,
    /// What it may do where.
    pub(crate) grants: &'a [Grant],
    /// The connector that a collector pushes to with it.
    pub(crate) connector: Option<ConnectorId>,
    /// When it stops working by itself.
    pub(crate) expires_at: DateTime<Utc>,
}

/// A caller, and whether the time of its last use should be raised.
#[derive(Debug, Clone)]
pub struct Authenticated {
    /// Who and what.
    pub access: Access,
    /// Whether the last recorded use is an hour old.
    pub use_is_old: bool,
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]).collect()
}

/// SHA-256.
pub fn hash(secret: &str) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, secret.as_bytes());
    let mut out = [0; 32];
    out.copy_from_slice(digest.as_ref());
    out
}

fn generate() -> Result<SecretString, StoreError> {
    let mut bytes = [0_u8; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| StoreError::Seal("the system gave no random bytes"))?;
    Ok(SecretString::from(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))))
}

/// Finds the caller whose secret has this hash. `None` when there is none, or it is expired, revoked or without rights.
pub async fn authenticate(store: &Store, hash: &[u8; 32]) -> Result<Option<Authenticated>, StoreError> {
    let hex = hex(hash);
    let begin = format!("begin; set local app.token_hash = '{hex}'");
    let mut tx = store.begin(sqlx::AssertSqlSafe(begin)).await?;
    let found = sqlx::query!(
        r#"select tenant_id, token_id, name, connector_id,
                  coalesce(last_used_at < now() - interval '1 hour', true) as "use_is_old!"
           from tokens where hash = $1 and expires_at > now() and revoked_at is null"#,
        &hash[..]
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(found) = found else { return Ok(None) };
    sqlx::query!("select set_config('app.tenant', $1, true)", found.tenant_id.to_string()).fetch_one(&mut *tx).await?;
    let grants = sqlx::query_as!(
        GrantRow,
        "select token_id, role, scope_type, account, cluster_id, namespace from grants
         where tenant_id = $1 and token_id = $2",
        found.tenant_id,
        found.token_id
    )
    .fetch_all(&mut *tx)
    .await?;
    let grants = grants.into_iter().map(GrantRow::parse).collect::<Result<Vec<_>, _>>()?;
    let collector = found.connector_id.map(ConnectorId);
    if grants.is_empty() && collector.is_none() {
        return Ok(None);
    }
    let actor = Actor::token(TokenId(found.token_id), found.name);
    let access = Access { tenant: TenantId(found.tenant_id), actor, grants, collector };
    Ok(Some(Authenticated { access, use_is_old: found.use_is_old }))
}

/// Whose secret with this hash works no more: for the audit log, after [`authenticate`] found nobody.
pub async fn ended(store: &Store, hash: &[u8; 32]) -> Result<Option<(TenantId, Actor)>, StoreError> {
    let hex = hex(hash);
    let begin = format!("begin; set local app.token_hash = '{hex}'");
    let mut tx = store.pool().begin_with(sqlx::AssertSqlSafe(begin)).await?;
    let found = sqlx::query!(
        "select tenant_id, token_id, name from tokens
         where hash = $1 and (expires_at <= now() or revoked_at is not null)",
        &hash[..]
    )
    .fetch_optional(&mut *tx)
    .await?;
    Ok(found.map(|row| (TenantId(row.tenant_id), Actor::token(TokenId(row.token_id), row.name))))
}

/// Records that a token was used, unless that was recorded within the hour.
pub async fn touch(tx: &mut TenantTx, token: TokenId) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "update tokens set last_used_at = now() where tenant_id = $1 and token_id = $2
         and coalesce(last_used_at < now() - interval '1 hour', true)",
        tenant,
        token.0
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Makes a token and returns it with its secret, which is not kept anywhere.
pub async fn create(
    tx: &mut TenantTx,
    name: &str,
    grants: &[Grant],
    expires_at: DateTime<Utc>,
) -> Result<(Token, SecretString), StoreError> {
    make(tx, &NewToken { name, grants, connector: None, expires_at }).await
}

pub(crate) async fn make(tx: &mut TenantTx, new: &NewToken<'_>) -> Result<(Token, SecretString), StoreError> {
    let secret = generate()?;
    let (tenant, id) = (tx.tenant_uuid(), Uuid::now_v7());
    sqlx::query!(
        "insert into tokens (tenant_id, token_id, name, hash, expires_at, connector_id) values ($1, $2, $3, $4, $5, $6)",
        tenant,
        id,
        new.name,
        &hash(secret.expose_secret())[..],
        new.expires_at,
        new.connector.map(|connector| connector.0)
    )
    .execute(tx.conn())
    .await?;
    for grant in new.grants {
        insert_grant(tx, id, grant).await?;
    }
    Ok((get(tx, TokenId(id)).await?, secret))
}

async fn insert_grant(tx: &mut TenantTx, token: Uuid, grant: &Grant) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    let (scope_type, account, cluster, namespace) = grant.scope.columns();
    sqlx::query!(
        "insert into grants (tenant_id, grant_id, token_id, role, scope_type, account, cluster_id, namespace)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        tenant,
        Uuid::now_v7(),
        token,
        grant.role.as_str(),
        scope_type,
        account,
        cluster,
        namespace
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// One token.
pub async fn get(tx: &mut TenantTx, token: TokenId) -> Result<Token, StoreError> {
    let tenant = tx.tenant_uuid();
    let row = sqlx::query_as!(
        TokenRow,
        "select token_id, name, created_at, expires_at, revoked_at, last_used_at, connector_id from tokens
         where tenant_id = $1 and token_id = $2",
        tenant,
        token.0
    )
    .fetch_optional(tx.conn())
    .await?
    .ok_or(StoreError::NotFound { what: "token" })?;
    let mut tokens = with_grants(tx, vec![row]).await?;
    tokens.pop().ok_or(StoreError::NotFound { what: "token" })
}

/// Tokens, newest first, revoked and expired ones included.
pub async fn list(tx: &mut TenantTx, page: &Page) -> Result<Listed<Token>, StoreError> {
    let tenant = tx.tenant_uuid();
    // Ids are ordered by time.
    let before = page.after::<Uuid>()?.unwrap_or(Uuid::max());
    let rows = sqlx::query_as!(
        TokenRow,
        "select token_id, name, created_at, expires_at, revoked_at, last_used_at, connector_id from tokens
         where tenant_id = $1 and token_id < $2 order by token_id desc limit $3",
        tenant,
        before,
        page.fetch()
    )
    .fetch_all(tx.conn())
    .await?;
    let tokens = with_grants(tx, rows).await?;
    Ok(page.cut(tokens, |token| token.token_id.0))
}

/// Ends a token now. Ending it again changes nothing.
pub async fn revoke(tx: &mut TenantTx, token: TokenId) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    let done = sqlx::query!(
        "update tokens set revoked_at = coalesce(revoked_at, now()) where tenant_id = $1 and token_id = $2",
        tenant,
        token.0
    )
    .execute(tx.conn())
    .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::NotFound { what: "token" }) }
}

struct TokenRow {
    token_id: Uuid,
    name: String,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    revoked_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
    connector_id: Option<Uuid>,
}

struct GrantRow {
    token_id: Uuid,
    role: String,
    scope_type: String,
    account: Option<String>,
    cluster_id: Option<Uuid>,
    namespace: Option<String>,
}

impl GrantRow {
    fn parse(self) -> Result<Grant, StoreError> {
        let scope = AccessScope::from_columns(&self.scope_type, self.account, self.cluster_id, self.namespace)?;
        Ok(Grant { role: self.role.parse()?, scope })
    }
}

async fn with_grants(tx: &mut TenantTx, rows: Vec<TokenRow>) -> Result<Vec<Token>, StoreError> {
    let tenant = tx.tenant_uuid();
    let ids: Vec<Uuid> = rows.iter().map(|row| row.token_id).collect();
    let mut grants = sqlx::query_as!(
        GrantRow,
        "select token_id, role, scope_type, account, cluster_id, namespace from grants
         where tenant_id = $1 and token_id = any($2) order by grant_id",
        tenant,
        &ids
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter()
        .map(|row| {
            let own: Vec<GrantRow> = grants.extract_if(.., |grant| grant.token_id == row.token_id).collect();
            Ok(Token {
                token_id: TokenId(row.token_id),
                name: row.name,
                created_at: row.created_at,
                expires_at: row.expires_at,
                revoked_at: row.revoked_at,
                last_used_at: row.last_used_at,
                connector: row.connector_id.map(ConnectorId),
                grants: own.into_iter().map(GrantRow::parse).collect::<Result<_, _>>()?,
            })
        })
        .collect()
}

impl AccessScope {
    /// The word and the columns account, cluster and namespace that say this scope.
    pub fn columns(&self) -> (&'static str, Option<&str>, Option<Uuid>, Option<&str>) {
        match self {
            Self::Tenant => ("tenant", None, None, None),
            Self::Account(account) => ("account", Some(account), None, None),
            Self::Cluster(cluster) => ("cluster", None, Some(cluster.0), None),
            Self::Namespace(cluster, namespace) => ("namespace", None, Some(cluster.0), Some(namespace)),
        }
    }

    pub(crate) fn from_columns(
        scope_type: &str,
        account: Option<String>,
        cluster: Option<Uuid>,
        namespace: Option<String>,
    ) -> Result<Self, StoreError> {
        match (scope_type, account, cluster, namespace) {
            ("tenant", None, None, None) => Ok(Self::Tenant),
            ("account", Some(account), None, None) => Ok(Self::Account(account)),
            ("cluster", None, Some(cluster), None) => Ok(Self::Cluster(ClusterId(cluster))),
            ("namespace", None, Some(cluster), Some(namespace)) => Ok(Self::Namespace(ClusterId(cluster), namespace)),
            _ => Err(StoreError::Corrupt(format!("scope `{scope_type}`"))),
        }
    }
}
