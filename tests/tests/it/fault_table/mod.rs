//! Every call that a scan makes × every fault that a cloud has, through discovery, store and assessor: nothing vanishes, no
//! verdict gets better, the score does not rise, and coverage says why.
//!
//! ```text
//! whole scan ─▶ calls it made = rows; every declared permission has one ─▶ rounds: faults on calls of different kinds ─▶ check
//! ```
//! The table is made from the calls: one that is added to a connector is in it without another line.

mod clouds;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use cloudsim::{Fault, FaultKind, Target};
use platform_tests::{Client, Platform};
use rampart_connector::Limits;
use state::State;

/// Larger than any answer may be here.
const BODY_LIMIT: usize = 2 << 20;

/// Every fault of the clouds, and the states by which coverage tells it; `read` where what is wanted can be had in spite of it.
const FAULTS: [(FaultKind, &[&str]); 12] = [
    (FaultKind::Forbidden, &["denied"]),
    (FaultKind::Unauthorized, &["unauthorized", "denied"]),
    (FaultKind::Throttle { retry_after: None }, &["throttled"]),
    (FaultKind::Throttle { retry_after: Some(3_600) }, &["throttled"]),
    (FaultKind::Status(500), &["failed", "partial"]),
    (FaultKind::Status(503), &["failed", "throttled", "unreachable", "partial"]),
    (FaultKind::CutBody, &["failed", "unreachable", "partial"]),
    (FaultKind::HalfPage, &["failed", "partial"]),
    (FaultKind::ExpiredToken, &["failed", "partial", "read"]),
    (FaultKind::RepeatToken, &["failed", "partial", "read"]),
    (FaultKind::HugeBody(BODY_LIMIT + 1), &["failed", "partial"]),
    (FaultKind::Delay(Duration::from_millis(200)), &["read"]),
];
/// Objects may be huge, and are read.
const HUGE_OBJECT: (FaultKind, &[&str]) = (FaultKind::HugeObject(300 << 10), &["read", "failed", "partial"]);
/// What only Google Cloud has.
const GOOGLE: [(FaultKind, &[&str]); 2] = [
    (FaultKind::Disabled, &["failed", "denied", "unsupported", "not_applicable"]),
    (FaultKind::MissingZones, &["failed", "partial", "read"]),
];

/// One call of a connector.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// As the simulator counts it.
    pub(crate) call: String,
    pub(crate) target: Target,
    /// Kinds that are lost without it; none where everything is.
    pub(crate) kinds: BTreeSet<String>,
    /// Whether its loss must show: for calls that are declared as permissions.
    pub(crate) is_declared: bool,
}

/// One cell of the table.
#[derive(Debug, Clone)]
struct Cell {
    row: Row,
    fault: FaultKind,
    states: &'static [&'static str],
}

/// A connector in its world, with the table of its calls.
pub(crate) struct Table {
    pub(crate) platform: Platform,
    pub(crate) client: Client,
    pub(crate) connector: String,
    pub(crate) rows: Vec<Row>,
}

/// What became of the cells.
#[derive(Debug, Default)]
struct Figures {
    rounds: usize,
    /// Cells by the fault's name, with how many showed in coverage.
    cells: BTreeMap<String, (usize, usize)>,
    /// Cells that cannot happen: a list that has one page has no token that could expire.
    never: usize,
    violations: Vec<String>,
}

impl Figures {
    fn violate(&mut self, what: String) {
        eprintln!("violation: {what}");
        self.violations.push(what);
    }
}

/// Limits with which nothing is waited for.
pub(crate) fn impatient() -> Limits {
    Limits {
        rate: 2_000.0,
        burst: 2_000,
        attempts: 2,
        attempt_timeout: Duration::from_secs(10),
        wait_budget: Duration::from_secs(1),
        backoff_min: Duration::from_millis(1),
        backoff_max: Duration::from_millis(5),
        max_body: BODY_LIMIT,
        ..Limits::default()
    }
}

fn name_of(fault: FaultKind) -> String {
    format!("{fault:?}").split(['(', ' ']).next().unwrap_or_default().to_owned()
}

impl Table {
    /// Runs every cell and fails with all that went wrong.
    pub(crate) async fn run(&self, is_google: bool) {
        let begun = Instant::now();
        let base = State::of(self).await;
        assert!(base.resources.len() > 5 && !base.healthy.is_empty(), "{} resources", base.resources.len());
        let mut faults: Vec<_> = FAULTS.into_iter().chain([HUGE_OBJECT]).collect();
        faults.extend(GOOGLE.into_iter().filter(|_| is_google));
        let cell =
            |row: &Row, (fault, states): (FaultKind, &'static [&'static str])| Cell { row: row.clone(), fault, states };
        let mut waiting: Vec<Cell> =
            faults.iter().flat_map(|fault| self.rows.iter().map(move |row| cell(row, *fault))).collect();
        let (total, mut figures) = (waiting.len(), Figures::default());
        let mut alone = Vec::new();
        while !waiting.is_empty() {
            let round = next_round(&mut waiting);
            alone.extend(self.round(&base, round, &mut figures).await);
        }
        // What another fault kept from happening is done by itself.
        for cell in alone {
            for missed in self.round(&base, vec![cell], &mut figures).await {
                figures.violate(format!("{} × {:?} did not happen", missed.row.call, missed.fault));
            }
        }
        self.scan().await;
        base.check_recovered(&State::of(self).await);
        let counted: usize = figures.cells.values().map(|(cells, _)| cells).sum();
        eprintln!(
            "{}: {} calls × {} faults = {total} cells in {} scans: {counted} happened, {} cannot; {:?}",
            self.connector,
            self.rows.len(),
            faults.len(),
            figures.rounds,
            figures.never,
            begun.elapsed()
        );
        for (fault, (cells, told)) in &figures.cells {
            eprintln!("  {fault}: {cells} cells, {told} told by coverage");
        }
        let violations = &figures.violations;
        assert!(violations.is_empty(), "{} of {total} cells:\n{}", violations.len(), violations.join("\n"));
        assert_eq!(counted + figures.never, total, "no cell is left out");
    }

    /// Scans and waits until everything is assessed.
    async fn scan(&self) {
        self.platform.simulator.expire_sessions();
        self.platform.scan(&self.client, &[&self.connector]).await;
    }

    /// A scan with these faults. Returns cells that did not happen since others were in their way.
    async fn round(&self, base: &State, cells: Vec<Cell>, figures: &mut Figures) -> Vec<Cell> {
        let faults = self.platform.simulator.faults();
        for cell in &cells {
            faults.inject(Fault { target: cell.row.target.clone(), kind: cell.fault, times: None });
        }
        self.scan().await;
        let hits: Vec<u32> = faults.armed().into_iter().map(|(_, hits)| hits).collect();
        faults.clear();
        figures.rounds += 1;
        let now = State::of(self).await;
        let (mut missed, is_alone) = (Vec::new(), cells.len() == 1);
        let words: Vec<String> = cells.iter().map(|cell| format!("{} × {:?}", cell.row.call, cell.fault)).collect();
        let lost = base.losses(&now);
        if !lost.is_empty() {
            figures.violate(format!("[{}]: {}", words.join(", "), lost.join("; ")));
        }
        // Places that were read in doubt are forgotten by the next whole scan.
        if !lost.is_empty() || now.coverage.len() > base.coverage.len() {
            self.scan().await;
        }
        for (cell, hits) in cells.iter().zip(hits) {
            if hits == 0 && cell.fault == FaultKind::ExpiredToken {
                figures.never += 1;
            } else if hits == 0 {
                missed.push(cell.clone());
            } else {
                let counts = figures.cells.entry(name_of(cell.fault)).or_default();
                counts.0 += 1;
                match told(cell, &cells, base, &now, is_alone) {
                    Ok(is_told) => counts.1 += usize::from(is_told),
                    Err(why) => figures.violate(why),
                }
            }
        }
        missed
    }
}

/// The next cells of which no two are about one kind; what everything hangs on is alone.
fn next_round(waiting: &mut Vec<Cell>) -> Vec<Cell> {
    let mut taken = BTreeSet::new();
    let (mut round, mut left) = (Vec::new(), Vec::new());
    for cell in std::mem::take(waiting) {
        let is_wide = cell.row.kinds.is_empty();
        let fits = if is_wide { round.is_empty() } else { cell.row.kinds.is_disjoint(&taken) };
        if !fits || taken.contains("*") {
            left.push(cell);
            continue;
        }
        taken.extend(cell.row.kinds.iter().cloned());
        taken.extend(is_wide.then(|| "*".to_owned()));
        round.push(cell);
    }
    *waiting = left;
    round
}

/// Whether coverage says of a kind of the cell what went wrong. An error where it had to.
fn told(cell: &Cell, round: &[Cell], base: &State, now: &State, is_alone: bool) -> Result<bool, String> {
    let of = |kind: &str| cell.row.kinds.is_empty() || cell.row.kinds.contains(kind);
    // Places that are read in doubt because of another fault say nothing of this one.
    let moved: BTreeSet<&str> = now
        .coverage
        .iter()
        .filter(|(key, state)| of(&key.1) && base.coverage.get(*key).is_some_and(|before| before != *state))
        .map(|(_, state)| state.as_str())
        .collect();
    let is_told = moved.iter().any(|state| cell.states.contains(state));
    let may_be_read = cell.states.contains(&"read") || !cell.row.is_declared;
    // Others of the round may have a part in it, but not another kind's state.
    let wrong: Vec<&&str> =
        moved.iter().filter(|state| is_alone && !cell.states.contains(state) && **state != "partial").collect();
    if wrong.is_empty() && (is_told || may_be_read && moved.is_empty()) {
        return Ok(is_told);
    }
    let beside = round.len() - 1;
    Err(format!(
        "{} × {:?}: coverage of {:?} went to {moved:?}, not one of {:?} ({beside} faults beside it)",
        cell.row.call, cell.fault, cell.row.kinds, cell.states
    ))
}
