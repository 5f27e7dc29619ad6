use std::collections::BTreeMap;

use rampart_domain::{Cause, ExemptionId, Severity, Status, UnknownReason, Verdict};
use rampart_store::governance::Standing;
use rampart_store::verdict::{
    Bitmap, FindingPlace, FindingWrite, PackWrite, StoredFinding, StoredPack, StoredResource,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::counting::Counted;
use crate::judge::Judged;
use crate::policy::Policy;

/// What is stored of one resource's verdicts.
#[derive(Clone, Default)]
pub(crate) struct Before {
    pub(crate) pack: Option<StoredPack>,
    /// Finding rows by ordinal.
    pub(crate) findings: BTreeMap<i32, Row>,
    /// Violating elements by ordinal, where exemptions look at them.
    pub(crate) elements: BTreeMap<i32, Vec<String>>,
}

/// What is stored of a finding.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    status: Status,
    exemption: Option<ExemptionId>,
    /// Whether it violated when that was last known.
    open: bool,
    /// Whether it is unknown because nobody could look for too long, and violated when somebody last did.
    unverified: bool,
}

impl Row {
    /// The row as it will be, over what is stored of it.
    pub(crate) fn of(finding: &FindingWrite, before: Option<&Self>, unverified: bool) -> Self {
        let was_open = before.is_some_and(|row| row.open);
        let open = finding.status == Status::Unhealthy || (finding.status == Status::Unknown && was_open);
        Self { status: finding.status, exemption: finding.exemption, open, unverified }
    }
}

/// Whether the control found a violation, accepted or not; such verdicts are in no bitmap.
const fn violates(status: Status) -> bool {
    matches!(status, Status::Unhealthy | Status::Exempt)
}

impl Before {
    pub(crate) fn add(&mut self, finding: &StoredFinding) -> Result<(), rampart_domain::UnknownWord> {
        let row = Row {
            status: finding.status.parse()?,
            exemption: finding.exemption_id.map(ExemptionId),
            open: finding.open,
            unverified: finding.unverified,
        };
        self.findings.insert(finding.ordinal, row);
        Ok(())
    }

    /// The verdict stored for a check.
    pub(crate) fn status(&self, ordinal: i32) -> Option<Status> {
        if let Some(row) = self.findings.get(&ordinal).filter(|row| violates(row.status)) {
            return Some(row.status);
        }
        let pack = self.pack.as_ref()?;
        let within = |bytes: &Vec<u8>| Bitmap::from_bytes(bytes.clone()).contains(ordinal);
        if within(&pack.healthy) {
            Some(Status::Healthy)
        } else if within(&pack.not_applicable) {
            Some(Status::NotApplicable)
        } else if within(&pack.unknown) {
            Some(Status::Unknown)
        } else {
            None
        }
    }

    /// Every verdict stored, by ordinal; empty for what does not count.
    pub(crate) fn counted(&self) -> Vec<Counted> {
        if self.pack.as_ref().is_some_and(|pack| pack.scored) { self.all() } else { Vec::new() }
    }

    /// Every verdict stored, by ordinal.
    pub(crate) fn all(&self) -> Vec<Counted> {
        let Some(pack) = self.pack.as_ref() else { return Vec::new() };
        let set = |bytes: &Vec<u8>| Bitmap::from_bytes(bytes.clone());
        let mut all: BTreeMap<i32, Status> = BTreeMap::new();
        let unknown = set(&pack.unknown);
        all.extend(unknown.iter().map(|ordinal| (ordinal, Status::Unknown)));
        all.extend(set(&pack.healthy).iter().map(|ordinal| (ordinal, Status::Healthy)));
        all.extend(set(&pack.not_applicable).iter().map(|ordinal| (ordinal, Status::NotApplicable)));
        let open = self.findings.iter().filter(|(_, row)| violates(row.status));
        all.extend(open.map(|(ordinal, row)| (*ordinal, row.status)));
        // A verdict that was kept because it could not be given again is in `unknown` too.
        let stale = |ordinal, status| status != Status::Unknown && unknown.contains(ordinal);
        let counted = |(ordinal, status)| {
            let unverified = status == Status::Unknown && self.is_unverified(ordinal);
            Counted { ordinal, status, stale: stale(ordinal, status), unverified }
        };
        all.into_iter().map(counted).collect()
    }

    fn is_unverified(&self, ordinal: i32) -> bool {
        self.findings.get(&ordinal).is_some_and(|row| row.unverified)
    }
}

/// What one resource's new verdicts change.
#[derive(Default)]
pub(crate) struct After {
    pub(crate) pack: Option<PackWrite>,
    pub(crate) findings: Vec<FindingWrite>,
    /// Every verdict that now counts, by ordinal.
    pub(crate) counted: Vec<Counted>,
}

/// Compares new verdicts with stored ones.
///
/// A verdict that can no longer be given because a read failed stays as it was: lost access never looks like improvement. What
/// is exempt is decided anew each time, by the evidence that stands.
pub(crate) fn after(
    resource: &StoredResource,
    judged: Judged,
    before: &Before,
    cause: Cause,
    policy: &Policy,
) -> After {
    let mut after = settled(resource, judged, before, cause, policy);
    after.pack = after.pack.filter(|pack| differs(before.pack.as_ref(), pack, policy.judging()));
    after
}

/// As [`after`], with the packed verdicts also where they are stored like that already.
pub(crate) fn settled(
    resource: &StoredResource,
    judged: Judged,
    before: &Before,
    cause: Cause,
    policy: &Policy,
) -> After {
    let (mut healthy, mut not_applicable, mut unknown) = (Bitmap::default(), Bitmap::default(), Bitmap::default());
    let mut reasons = Map::new();
    let mut out = After::default();
    let mut seen = Vec::with_capacity(judged.verdicts.len());
    for judgement in judged.verdicts {
        let ordinal = judgement.ordinal;
        seen.push(ordinal);
        let stored = before.status(ordinal);
        let row = before.findings.get(&ordinal).copied();
        let (mut kept, mut unread) = (false, false);
        let verdict = match &judged.lost {
            Some(lost) if has_expired(lost) => Verdict::Unknown(lost.clone()),
            _ => judgement.verdict,
        };
        let (mut status, evidence) = match verdict {
            Verdict::Healthy => (Status::Healthy, None),
            Verdict::NotApplicable(_) => {
                if judgement.cause_number > 0 {
                    reasons.insert(ordinal.to_string(), json!(judgement.cause_number));
                }
                (Status::NotApplicable, None)
            }
            Verdict::Unhealthy(evidence) => (Status::Unhealthy, Some(evidence)),
            Verdict::Unknown(reason) => {
                unread = matches!(&reason, UnknownReason::Unread { .. });
                let lost = matches!(&reason, UnknownReason::Unread { state: Some(_), expired: false, .. });
                let known = stored.filter(|status| lost && *status != Status::Unknown);
                kept = known.is_some();
                reasons.insert(ordinal.to_string(), reason_json(&reason, kept));
                (known.unwrap_or(Status::Unknown), None)
            }
        };
        if let Some(lost) = judged.lost.as_ref().filter(|_| status != Status::Unknown && !kept) {
            kept = true;
            let mut reason = reason_json(lost, kept);
            if status == Status::NotApplicable {
                reason["cause"] = json!(judgement.cause_number);
            }
            reasons.insert(ordinal.to_string(), reason);
        }
        let mut exemption = None;
        if violates(status) {
            // What could not be judged again violates as it did.
            let elements = evidence.as_ref().map(|evidence| &evidence.elements).or(before.elements.get(&ordinal));
            let elements = elements.map_or(&[][..], Vec::as_slice);
            exemption = policy.exemptions.covering(&judgement.control_id, resource, elements);
            status = if exemption.is_some() { Status::Exempt } else { Status::Unhealthy };
        }
        match status {
            Status::Healthy => healthy.insert(ordinal),
            Status::NotApplicable => not_applicable.insert(ordinal),
            Status::Unknown => unknown.insert(ordinal),
            Status::Unhealthy | Status::Exempt => {}
        }
        if kept {
            // Marked in both sets: the verdict stands and counts, and the score's coverage lacks it.
            unknown.insert(ordinal);
        }
        if judged.scored {
            let unverified = status == Status::Unknown && unread && row.is_some_and(|row| row.open);
            out.counted.push(Counted { ordinal, status, stale: kept, unverified });
        }
        if violates(status) || row.is_some() {
            let is_new = row.is_none() && before.pack.is_none();
            out.findings.push(FindingWrite {
                ordinal,
                control_id: judgement.control_id,
                severity: rank(judgement.severity),
                status,
                before: row.map(|row| row.status),
                cause: if is_new { Cause::Discovered } else { why(row, status, cause, policy) },
                exemption,
                evidence: evidence.map(|evidence| json!(evidence)),
                scored: judged.scored,
                resource_id: resource.id,
                place: FindingPlace::from(resource),
                standing: Standing::default(),
            });
        }
    }
    let retired: Vec<i32> = before.findings.keys().copied().filter(|ordinal| !seen.contains(ordinal)).collect();
    out.findings.extend(end_findings(resource.id, before, &retired, cause));
    if !seen.is_empty() || before.pack.is_some() {
        out.pack = Some(PackWrite {
            resource_id: resource.id,
            revision: resource.revision,
            healthy,
            not_applicable,
            unknown,
            reasons: (!reasons.is_empty()).then_some(Value::Object(reasons)),
            scored: judged.scored,
        });
    }
    out
}

/// What made a finding's status what it is: an exemption, where it began or ended to hold while the violation stayed.
fn why(row: Option<Row>, status: Status, cause: Cause, policy: &Policy) -> Cause {
    let Some(row) = row.filter(|row| violates(row.status) && violates(status) && row.status != status) else {
        return cause;
    };
    let ended = row.exemption.is_some_and(|exemption| !policy.exemptions.has(exemption));
    // The check is the same, and so are its parameters.
    if ended || cause == Cause::Parameter { Cause::Exemption } else { cause }
}

/// A resource that is gone, or that is judged through its owner: its findings end.
pub(crate) fn ended(resource: Uuid, before: &Before, cause: Cause) -> Vec<FindingWrite> {
    let open: Vec<i32> = before.findings.keys().copied().collect();
    end_findings(resource, before, &open, cause).collect()
}

fn end_findings<'a>(
    resource_id: Uuid,
    before: &'a Before,
    ordinals: &'a [i32],
    cause: Cause,
) -> impl Iterator<Item = FindingWrite> + 'a {
    let open = ordinals.iter().filter(|ordinal| before.findings[*ordinal].status != Status::NotApplicable);
    open.map(move |ordinal| FindingWrite {
        ordinal: *ordinal,
        control_id: String::new(),
        severity: 0,
        status: Status::NotApplicable,
        before: Some(before.findings[ordinal].status),
        cause,
        exemption: None,
        evidence: None,
        scored: false,
        resource_id,
        place: FindingPlace::default(),
        standing: Standing::default(),
    })
}

/// Whether the last complete reading is too old to keep a verdict by.
const fn has_expired(reason: &UnknownReason) -> bool {
    matches!(reason, UnknownReason::Unread { expired: true, .. })
}

fn reason_json(reason: &UnknownReason, kept: bool) -> Value {
    let mut value = json!(reason);
    if kept {
        value["kept"] = Value::Bool(true);
    }
    value
}

fn differs(stored: Option<&StoredPack>, pack: &PackWrite, inputs: &[u8]) -> bool {
    stored.is_none_or(|stored| {
        stored.healthy != pack.healthy.as_bytes()
            || stored.not_applicable != pack.not_applicable.as_bytes()
            || stored.unknown != pack.unknown.as_bytes()
            || stored.scored != pack.scored
            || stored.revision != pack.revision
            || stored.inputs != inputs
            // What counts may hang on why nothing is known.
            || (!stored.unknown.is_empty() && stored.reasons != pack.reasons)
    })
}

/// Severity as the store orders it.
pub(crate) const fn rank(severity: Severity) -> i16 {
    match severity {
        Severity::Informational => 1,
        Severity::Low => 2,
        Severity::Medium => 3,
        Severity::High => 4,
        Severity::Critical => 5,
    }
}
