use sqlx::{FromRow, QueryBuilder};

use crate::finding::Filter;
use crate::moment::Rows;
use crate::{StoreError, TenantTx, Visible};

/// Owners that a summary names at most, those with the most overdue findings first.
pub const SUMMARY_OWNERS: usize = 100;

/// Unhealthy findings, and how many of them have to be mended when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromRow)]
pub struct Numbers {
    /// All of them.
    pub open: i64,
    /// Those without a due date.
    pub undated: i64,
    /// Those past due date and grace period.
    pub overdue: i64,
    /// Those past their due date, within the grace period.
    pub grace: i64,
    /// Those that are due within the next seven days.
    pub due_soon: i64,
}

#[derive(FromRow)]
struct Row {
    owner: Option<String>,
    severity: Option<i16>,
    by_owner: bool,
    by_severity: bool,
    #[sqlx(flatten)]
    numbers: Numbers,
}

/// What numbers are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// All findings.
    All,
    /// Those of an owner; `None` for those without.
    Owner(Option<String>),
    /// Those of a severity, 1 to 5.
    Severity(i16),
}

/// The numbers of the unhealthy findings of a filter: of all, by owner (the most overdue first), by severity (the worst
/// first).
pub async fn numbers(
    tx: &mut TenantTx,
    visible: &Visible,
    filter: &Filter,
) -> Result<Vec<(Part, Numbers)>, StoreError> {
    let mut query = QueryBuilder::new(
        "select f.owner, f.severity, grouping(f.owner) = 0 as by_owner, grouping(f.severity) = 0 as by_severity,
             count(*) as open, count(*) filter (where f.due_at is null) as undated,
             count(*) filter (where now() >= f.overdue_at) as overdue,
             count(*) filter (where now() >= f.due_at and now() < f.overdue_at) as grace,
             count(*) filter (where now() < f.due_at and f.due_at < now() + interval '7 days') as due_soon
         from findings f",
    );
    filter.push(&mut query, tx.tenant_uuid(), visible, Rows::Now);
    query.push(
        " group by grouping sets ((), (f.owner), (f.severity))
          order by by_owner, by_severity, overdue desc, f.severity desc, open desc, f.owner",
    );
    let rows = query.build_query_as::<Row>().fetch_all(tx.conn()).await?;
    let part = |row: &Row| match (row.by_owner, row.by_severity) {
        (true, _) => Part::Owner(row.owner.clone()),
        (false, true) => Part::Severity(row.severity.unwrap_or_default()),
        (false, false) => Part::All,
    };
    let mut parts: Vec<(Part, Numbers)> = rows.iter().map(|row| (part(row), row.numbers)).collect();
    // Severities are few and read better from the worst on.
    parts.sort_by_key(|(part, _)| match part {
        Part::All => (0, 0),
        Part::Severity(severity) => (1, -severity),
        Part::Owner(_) => (2, 0),
    });
    Ok(parts)
}
