use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use rampart_domain::ConnectorId;
use rampart_store::organization::{self, Choice, Decision, Filter, IsActive, Member};
use rampart_store::{StoreError, TenantTx, connector};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::App;
use crate::http::{
    Answer, ApiError, Caller, FieldErrors, List, Listing, ManageConnectors, PageParams, PathOf, Payload, ReadInventory,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_accounts))
        .routes(routes!(get_account))
        .routes(routes!(add_accounts))
        .routes(routes!(exclude_accounts))
        .routes(routes!(release_accounts))
}

/// Whether an account of an organisation is read.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum AccountDecision {
    /// It is read.
    Included,
    /// The rules or an operator leave it out.
    Excluded,
    /// The cloud does not let it be read.
    Suspended,
    /// It may be read and was not added yet.
    Waiting,
    /// It does not belong to the organisation any more.
    Removed,
}

impl From<AccountDecision> for Decision {
    fn from(decision: AccountDecision) -> Self {
        match decision {
            AccountDecision::Included => Self::Included,
            AccountDecision::Excluded => Self::Excluded,
            AccountDecision::Suspended => Self::Suspended,
            AccountDecision::Waiting => Self::Waiting,
            AccountDecision::Removed => Self::Removed,
        }
    }
}

/// An account, subscription or project of an organisation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Account)]
struct AccountView {
    /// The cloud's id of the account.
    #[schema(example = "123456789012")]
    account: String,
    name: String,
    /// Ids of the units above it, from the root down.
    path: Vec<String>,
    /// `active` or `suspended`, as the cloud reports it.
    #[schema(example = "active")]
    state: &'static str,
    #[schema(value_type = AccountDecision)]
    decision: &'static str,
    /// Why it is decided so.
    reason: String,
    /// What an operator decided about it: `added` or `excluded`; null when the organisation's rules decide.
    choice: Option<&'static str>,
    /// The connector that reads it, or did.
    connector_id: Option<Uuid>,
    /// Since when that connector does not read it any more.
    retired_at: Option<DateTime<Utc>>,
    first_seen: DateTime<Utc>,
    /// When the organisation was last read to its end; null for an account that left it.
    last_seen: Option<DateTime<Utc>>,
    /// When it was first missing from the organisation; null while it belongs to it.
    gone_at: Option<DateTime<Utc>>,
}

impl From<Member> for AccountView {
    fn from(row: Member) -> Self {
        Self {
            account: row.account,
            name: row.name,
            path: row.path,
            state: if row.is_active == IsActive::Yes { "active" } else { "suspended" },
            decision: row.decision.as_str(),
            reason: row.reason,
            choice: row.choice.map(Choice::as_str),
            connector_id: row.connector.map(ConnectorId::get),
            retired_at: row.retired_at,
            first_seen: row.first_seen,
            last_seen: row.last_seen,
            gone_at: row.gone_at,
        }
    }
}

/// The organisation that a path names.
pub(super) async fn organization_named(tx: &mut TenantTx, name: &str) -> Result<ConnectorId, ApiError> {
    let id = connector::resolve(tx, name).await?;
    if connector::get(tx, id).await?.settings.selection().is_none() {
        return Err(StoreError::WrongState { what: "connector", why: "is of no organisation" }.into());
    }
    Ok(id)
}

/// Which accounts to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AccountFilter {
    /// With one of these decisions.
    #[serde(default)]
    decision: Vec<AccountDecision>,
    /// In this unit, at any depth.
    unit: Option<String>,
    /// Whose id or name begins so.
    prefix: Option<String>,
}

/// List the accounts of an organisation by id.
///
/// As the last whole reading found them; one that fails changes nothing.
#[utoipa::path(get, path = "/v1/connectors/{connector}/accounts", tag = "accounts",
    params(("connector" = String, Path, description = "Name or id"), PageParams, AccountFilter),
    responses((status = 200, body = List<AccountView>)))]
async fn list_accounts(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf(name): PathOf<String>,
    Listing { filter, page }: Listing<AccountFilter>,
) -> Result<Json<List<AccountView>>, ApiError> {
    caller.must_see_everything("connector")?;
    let mut tx = app.tx(&caller).await?;
    let id = organization_named(&mut tx, &name).await?;
    let decisions = filter.decision.into_iter().map(Decision::from).collect();
    let filter = Filter { decisions, unit: filter.unit, prefix: filter.prefix };
    Ok(List::of(organization::list(&mut tx, id, &filter, &page).await?, AccountView::from))
}

/// Get an account of an organisation.
#[utoipa::path(get, path = "/v1/connectors/{connector}/accounts/{account}", tag = "accounts",
    params(("connector" = String, Path, description = "Name or id"), ("account" = String, Path)),
    responses((status = 200, body = AccountView)))]
async fn get_account(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf((name, account)): PathOf<(String, String)>,
) -> Result<Answer, ApiError> {
    caller.must_see_everything("connector")?;
    let mut tx = app.tx(&caller).await?;
    let id = organization_named(&mut tx, &name).await?;
    Ok(Answer::ok(AccountView::from(organization::get(&mut tx, id, &account).await?)))
}

/// Accounts to decide about.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChooseAccounts {
    /// Ids of 1 to 1000 accounts.
    #[schema(example = json!(["123456789012"]))]
    accounts: Vec<String>,
}

/// What became of the accounts.
#[derive(Debug, Serialize, ToSchema)]
struct ChosenAccounts {
    /// The accounts as they are now, by id.
    items: Vec<AccountView>,
    /// Those that no reading of the organisation has found.
    unknown: Vec<String>,
}

/// Read accounts, whatever the organisation's rules say.
///
/// Takes effect at once: each is scanned by a connector of its own, unless the cloud has suspended it.
#[utoipa::path(post, path = "/v1/connectors/{connector}/accounts/add", tag = "accounts",
    params(("connector" = String, Path, description = "Name or id")), request_body = ChooseAccounts,
    responses((status = 200, body = ChosenAccounts)))]
async fn add_accounts(
    State(app): State<App>,
    caller: Caller<ManageConnectors>,
    PathOf(name): PathOf<String>,
    Payload(body): Payload<ChooseAccounts>,
) -> Result<Answer, ApiError> {
    choose(&app, &caller, &name, body, Some(Choice::Added)).await
}

/// Do not read accounts, whatever the organisation's rules say.
///
/// Takes effect at once: what was read before is kept for the retention time and says that it grows old.
#[utoipa::path(post, path = "/v1/connectors/{connector}/accounts/exclude", tag = "accounts",
    params(("connector" = String, Path, description = "Name or id")), request_body = ChooseAccounts,
    responses((status = 200, body = ChosenAccounts)))]
async fn exclude_accounts(
    State(app): State<App>,
    caller: Caller<ManageConnectors>,
    PathOf(name): PathOf<String>,
    Payload(body): Payload<ChooseAccounts>,
) -> Result<Answer, ApiError> {
    choose(&app, &caller, &name, body, Some(Choice::Excluded)).await
}

/// Leave accounts to the organisation's rules again.
#[utoipa::path(post, path = "/v1/connectors/{connector}/accounts/release", tag = "accounts",
    params(("connector" = String, Path, description = "Name or id")), request_body = ChooseAccounts,
    responses((status = 200, body = ChosenAccounts)))]
async fn release_accounts(
    State(app): State<App>,
    caller: Caller<ManageConnectors>,
    PathOf(name): PathOf<String>,
    Payload(body): Payload<ChooseAccounts>,
) -> Result<Answer, ApiError> {
    choose(&app, &caller, &name, body, None).await
}

async fn choose(
    app: &App,
    caller: &Caller<ManageConnectors>,
    name: &str,
    body: ChooseAccounts,
    choice: Option<Choice>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(caller).await?;
    let id = organization_named(&mut tx, name).await?;
    let mut errors = FieldErrors::default();
    errors.check((1..=1000).contains(&body.accounts.len()), "/accounts", "must be 1 to 1000");
    errors.finish()?;
    let known = organization::choose(&mut tx, id, &body.accounts, choice, Utc::now()).await?;
    let unknown = body.accounts.into_iter().filter(|account| !known.iter().any(|m| m.account == *account)).collect();
    Answer::ok(ChosenAccounts { items: known.into_iter().map(AccountView::from).collect(), unknown }).commit(tx).await
}
