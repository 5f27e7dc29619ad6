//! By how much the counters behind the secure score moved, minute by minute, and why.
//!
//! The moves of a unit and group add up to its counters, because whoever changes those notes it here in the same
//! transaction. What was counted at an earlier minute is what is counted now without the moves since: history that was
//! dropped by age is not missed.

use std::collections::BTreeMap;

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use rampart_domain::{ScoreCause, UnitId};

use crate::score::{GroupCounts, Reach};
use crate::verdict::ScoreDelta;
use crate::{StoreError, TenantTx};

/// The migration that began to record moves.
const RECORDED_BY: i64 = 20_261_122_000_046;
/// Longest that a transaction takes from noting a move to its end: its statements are cancelled after that time.
const SETTLES_AFTER: TimeDelta = TimeDelta::seconds(60);

/// The minute that a moment lies in.
pub fn minute(at: DateTime<Utc>) -> DateTime<Utc> {
    at.duration_trunc(TimeDelta::minutes(1)).unwrap_or(at)
}

/// Notes moves of a unit's counters.
pub(crate) async fn note(
    tx: &mut TenantTx,
    unit: UnitId,
    now: DateTime<Utc>,
    moves: &[(String, ScoreCause, ScoreDelta)],
) -> Result<(), StoreError> {
    let moves: Vec<_> = moves.iter().filter(|(.., delta)| *delta != ScoreDelta::default()).collect();
    if moves.is_empty() {
        return Ok(());
    }
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "insert into score_moves as m (tenant_id, unit_id, at, score_group, cause, healthy, unhealthy, unknown, stale, exempt)
         select $1, $2, $3, i.*
         from unnest($4::text[], $5::text[], $6::int8[], $7::int8[], $8::int8[], $9::int8[], $10::int8[]) as i
         on conflict (tenant_id, unit_id, at, score_group, cause) do update set
             healthy = m.healthy + excluded.healthy, unhealthy = m.unhealthy + excluded.unhealthy,
             unknown = m.unknown + excluded.unknown, stale = m.stale + excluded.stale, exempt = m.exempt + excluded.exempt",
        tenant,
        unit.0,
        minute(now),
        &moves.iter().map(|(group, ..)| group.as_str()).collect::<Vec<_>>() as _,
        &moves.iter().map(|(_, cause, _)| cause.as_str()).collect::<Vec<_>>() as _,
        &moves.iter().map(|(.., d)| d.healthy).collect::<Vec<_>>(),
        &moves.iter().map(|(.., d)| d.unhealthy).collect::<Vec<_>>(),
        &moves.iter().map(|(.., d)| d.unknown).collect::<Vec<_>>(),
        &moves.iter().map(|(.., d)| d.stale).collect::<Vec<_>>(),
        &moves.iter().map(|(.., d)| d.exempt).collect::<Vec<_>>(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Notes what stands between a unit's counters and those that take their place: call it before they do. What no resource
/// accounts for came from the content, such as a control that moved to another group.
pub(crate) async fn note_rest(
    tx: &mut TenantTx,
    unit: UnitId,
    now: DateTime<Utc>,
    counters: &[(String, ScoreDelta)],
) -> Result<(), StoreError> {
    let mut rest: BTreeMap<String, ScoreDelta> = counters.iter().cloned().collect();
    for (group, old) in counters_of(tx, unit).await? {
        let new = rest.entry(group).or_default();
        *new = difference(new, &old);
    }
    let moves: Vec<_> = rest.into_iter().map(|(group, delta)| (group, ScoreCause::Content, delta)).collect();
    note(tx, unit, now, &moves).await
}

/// Notes that a unit's counters go: call it before they do.
pub(crate) async fn note_end(tx: &mut TenantTx, unit: UnitId, now: DateTime<Utc>) -> Result<(), StoreError> {
    let nothing = ScoreDelta::default();
    let counters = counters_of(tx, unit).await?.into_iter();
    let moves: Vec<_> =
        counters.map(|(group, delta)| (group, ScoreCause::ResourceGone, difference(&nothing, &delta))).collect();
    note(tx, unit, now, &moves).await
}

async fn counters_of(tx: &mut TenantTx, unit: UnitId) -> Result<Vec<(String, ScoreDelta)>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query!(
        "select score_group, healthy, unhealthy, unknown, stale, exempt from score_counts
         where tenant_id = $1 and unit_id = $2 order by score_group",
        tenant,
        unit.0
    )
    .fetch_all(tx.conn())
    .await?;
    let counters = rows.into_iter().map(|row| {
        let (healthy, unhealthy, unknown) = (row.healthy, row.unhealthy, row.unknown);
        (row.score_group, ScoreDelta { healthy, unhealthy, unknown, stale: row.stale, exempt: row.exempt })
    });
    Ok(counters.collect())
}

const fn difference(left: &ScoreDelta, right: &ScoreDelta) -> ScoreDelta {
    ScoreDelta {
        healthy: left.healthy - right.healthy,
        unhealthy: left.unhealthy - right.unhealthy,
        unknown: left.unknown - right.unknown,
        stale: left.stale - right.stale,
        exempt: left.exempt - right.exempt,
    }
}

/// The time of which the history is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Nothing earlier is kept.
    pub since: DateTime<Utc>,
    /// Later minutes may still get moves.
    pub until: DateTime<Utc>,
}

/// The time of which the history is known at `now`, in whole minutes.
pub async fn extent(tx: &mut TenantTx, now: DateTime<Utc>) -> Result<Extent, StoreError> {
    let row = sqlx::query!(
        r#"select (select installed_on from _sqlx_migrations where version = $1) as recorded,
                  (select min(to_date(substring(c.relname from '(\d{4}_\d{2})$'), 'YYYY_MM'))::timestamp at time zone 'UTC'
                   from pg_inherits i join pg_class c on c.oid = i.inhrelid
                   where i.inhparent = 'score_moves'::regclass) as kept"#,
        RECORDED_BY
    )
    .fetch_one(tx.conn())
    .await?;
    let since = row.recorded.into_iter().chain(row.kept).max().map_or(now, minute);
    let until = minute(now - SETTLES_AFTER);
    Ok(Extent { since, until: until.max(since) })
}

/// Moves of one group in one interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The interval's number, from 0; what lies behind the last has its number plus one.
    pub interval: i64,
    /// The group.
    pub score_group: String,
    /// Why.
    pub cause: ScoreCause,
    /// By how much.
    pub delta: ScoreDelta,
}

/// The part of a history that is asked for: intervals of one length, of which the last may be shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its begin, a whole minute.
    pub from: DateTime<Utc>,
    /// Its end, a whole minute.
    pub to: DateTime<Utc>,
    /// Length of an interval in seconds, whole minutes.
    pub seconds: i64,
}

impl Span {
    /// How many intervals there are.
    pub fn intervals(&self) -> i64 {
        ((self.to - self.from).num_seconds().max(0) + self.seconds - 1) / self.seconds
    }
}

/// The counters of now and what moved them since the span began. Both must come from one snapshot.
pub async fn moves(tx: &mut TenantTx, reach: &Reach, span: &Span) -> Result<(Vec<GroupCounts>, Vec<Move>), StoreError> {
    let tenant = tx.tenant_uuid();
    let units = Reach { units: reach.units.clone(), ..Reach::default() };
    let counts = crate::score::groups(tx, &units, &[]).await?;
    let rows = sqlx::query!(
        r#"select case when at >= $4 then $5 else floor(extract(epoch from at - $3::timestamptz) / $6::int8)::int8 end as "interval!",
                  score_group, cause, sum(healthy)::int8 as "healthy!", sum(unhealthy)::int8 as "unhealthy!",
                  sum(unknown)::int8 as "unknown!", sum(stale)::int8 as "stale!", sum(exempt)::int8 as "exempt!"
           from score_moves where tenant_id = $1 and ($2::uuid[] is null or unit_id = any($2)) and at >= $3
           group by 1, 2, 3 order by 1, 2, 3"#,
        tenant,
        reach.units.as_deref() as _,
        span.from,
        span.to,
        span.intervals(),
        span.seconds
    )
    .fetch_all(tx.conn())
    .await?;
    let moves = rows.into_iter().map(|row| {
        let (healthy, unhealthy, unknown) = (row.healthy, row.unhealthy, row.unknown);
        Ok(Move {
            interval: row.interval,
            score_group: row.score_group,
            cause: row.cause.parse()?,
            delta: ScoreDelta { healthy, unhealthy, unknown, stale: row.stale, exempt: row.exempt },
        })
    });
    let moves = moves.collect::<Result<_, StoreError>>()?;
    Ok((counts, moves))
}
