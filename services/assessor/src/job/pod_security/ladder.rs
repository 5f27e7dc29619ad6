use std::collections::{BTreeMap, BTreeSet, HashMap};

use rampart_domain::{ConfigHash, Kind, ManagedBy};
use rampart_posture::pod_security::{Conformity, Ladder, Level, PREFIX, Standards, command, recreated, shape};
use rampart_posture::{Facts, Input, NoNeighbours};
use rampart_store::StoreError;
use rampart_store::job::pod_security::{Blocker, Namespace, Violation};
use rampart_store::verdict::StoredResource;
use serde_json::{Map, Value};

use super::members::{Member, Members};
use super::{Ground, labels_of};

/// Namespaces that every cluster has for itself.
const SYSTEM: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

/// What was found of one workload.
struct Examined<'m, 'a> {
    member: &'m Member<'a>,
    /// Of its template; `None` for a pod on its own, and where no template is known.
    template: Option<Conformity>,
    /// Of its pods, as they would be created again.
    pods: Vec<Conformity>,
    /// Pods that run debugging containers that a level refuses, by the lowest level that does.
    debugged: BTreeMap<Level, u64>,
}

impl Ground {
    /// How far a namespace could go.
    pub(super) fn ladder(&self, namespace: &StoredResource, members: &Members<'_>) -> Result<Namespace, StoreError> {
        let standards = self.standards(self.minor);
        let examined: Vec<_> =
            members.owners().map(|member| self.examine(standards, member)).collect::<Result<_, _>>()?;
        let all = || examined.iter().flat_map(|it| it.template.iter().chain(&it.pods));
        let ladder = Ladder::of(all(), self.unread.is_empty());
        let labels = labels_of(namespace);
        let enforced = labels.enforced();
        let system = is_system(namespace, members);
        let standing = ladder.level.map(|level| match enforced.cmp(&level) {
            std::cmp::Ordering::Less => "below",
            std::cmp::Ordering::Equal => "met",
            std::cmp::Ordering::Greater => "above",
        });
        // To enforce less than today is nobody's hardening: what stands in the way is told instead.
        let advised = !system && standing != Some("above");
        let words = |level: Level| level.as_str().to_owned();
        Ok(Namespace {
            namespace: namespace.name.clone(),
            system,
            labels: stated(&namespace.labels),
            enforced: words(enforced),
            level: ladder.level.map(words),
            standing: standing.map(str::to_owned),
            next_level: ladder.next.map(words),
            blockers: ladder
                .next
                .map_or_else(Vec::new, |next| examined.iter().filter_map(|it| blocker(it, next)).collect()),
            unknown: self.unknown(&examined, ladder.next),
            cautions: ladder.level.and_then(|level| caution(&examined, level)).into_iter().collect(),
            command: advised.then(|| command(&namespace.name, ladder, &standards.version(), &labels)).flatten(),
        })
    }

    fn examine<'m, 'a>(&self, standards: &Standards, member: &'m Member<'a>) -> Result<Examined<'m, 'a>, StoreError> {
        let resource = member.resource;
        // A pod on its own is judged as a running pod, and not a second time.
        let is_pod = resource.kind == Kind::K8sPod;
        let template = (!is_pod).then(|| self.conformity(standards, resource, &resource.config)).transpose()?;
        let mut known: HashMap<ConfigHash, Conformity> = HashMap::new();
        let (mut pods, mut debugged) = (Vec::new(), BTreeMap::new());
        for pod in &member.pods {
            let shape = shape(&pod.config);
            let conformity = match known.get(&shape) {
                Some(conformity) => conformity.clone(),
                None => self.conformity(standards, pod, &recreated(&pod.config))?,
            };
            if pod.config.pointer("/spec/ephemeralContainers").is_some() {
                let whole = self.conformity(standards, pod, &pod.config)?;
                let added = whole.refusals.iter().filter(|refusal| !conformity.refusals.contains(refusal));
                if let Some(level) = added.map(|refusal| refusal.level).min() {
                    *debugged.entry(level).or_default() += 1;
                }
            }
            known.insert(shape, conformity.clone());
            pods.push(conformity);
        }
        Ok(Examined { member, template, pods, debugged })
    }

    /// What the levels have against `config`, which is of `resource`.
    pub(super) fn conformity(
        &self,
        standards: &Standards,
        resource: &StoredResource,
        config: &Value,
    ) -> Result<Conformity, StoreError> {
        let input = Input {
            facts: Facts {
                kind: resource.kind,
                name: &resource.name,
                namespace: resource.namespace.as_deref(),
                cloud: resource.cloud.parse()?,
                account: resource.account.as_deref(),
                region: resource.region.as_deref(),
                labels: &resource.labels,
                managed_by: resource.managed_by.parse()?,
                active: resource.active,
                native_id: &resource.native_id,
            },
            config,
            live: None,
            neighbours: &NoNeighbours,
            now: self.now,
        };
        Ok(standards.judge(&self.knowledge.engine, &input))
    }

    /// What kept a level from being told.
    fn unknown(&self, examined: &[Examined<'_, '_>], next: Option<Level>) -> Vec<String> {
        let unread = self.unread.iter().map(|kind| format!("{kind} was not read to the end"));
        let mut unknown: BTreeSet<String> = unread.collect();
        let level = next.unwrap_or(Level::Restricted);
        for it in examined {
            let undecided = it.template.iter().chain(&it.pods).flat_map(|found| found.undecided_by(level));
            unknown.extend(undecided.map(|why| {
                format!("{} {}: {}: {}", it.member.kind(), it.member.resource.name, why.control, why.message)
            }));
        }
        unknown.into_iter().collect()
    }
}

/// The workload as what stands against `next`; `None` when nothing of it does.
fn blocker(examined: &Examined<'_, '_>, next: Level) -> Option<Blocker> {
    let refuses = |conformity: &&Conformity| conformity.refused_by(next).next().is_some();
    let template = examined.template.iter().any(|it| refuses(&it));
    let pods = examined.pods.iter().filter(refuses).count() as u64;
    let all = examined.template.iter().chain(&examined.pods).flat_map(|it| it.refused_by(next));
    let mut controls: BTreeMap<&str, &str> = BTreeMap::new();
    for refusal in all {
        controls.entry(&refusal.control).or_insert(&refusal.message);
    }
    let controls = controls.into_iter();
    let resource = examined.member.resource;
    (template || pods > 0).then(|| Blocker {
        resource_id: resource.id,
        kind: examined.member.kind(),
        name: resource.name.clone(),
        running: resource.active,
        template,
        pods,
        controls: controls
            .map(|(control, message)| Violation { control: control.into(), message: message.into() })
            .collect(),
    })
}

/// Debugging containers that run now come with no new pod, but no further one could be attached.
fn caution(examined: &[Examined<'_, '_>], level: Level) -> Option<String> {
    let levels = examined.iter().flat_map(|it| &it.debugged);
    let pods: u64 = levels.filter(|(lowest, _)| **lowest <= level).map(|(_, pods)| pods).sum();
    (pods > 0).then(|| {
        format!(
            "{pods} running pod(s) have ephemeral containers that {} refuses: such containers could not be attached any more",
            level.as_str()
        )
    })
}

fn stated(labels: &Value) -> BTreeMap<String, String> {
    let labels: Option<&Map<String, Value>> = labels.as_object();
    let labels = labels.into_iter().flatten();
    labels
        .filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?.to_owned(), value.as_str()?.to_owned())))
        .collect()
}

/// Whether the platform manages a namespace: it is one that every cluster has, or all that it holds is the platform's.
fn is_system(namespace: &StoredResource, members: &Members<'_>) -> bool {
    let is_platform =
        |resource: &StoredResource| matches!(resource.managed_by.parse(), Ok(ManagedBy::Platform | ManagedBy::Addon));
    let mut held = members.owners().map(|member| member.resource).peekable();
    SYSTEM.contains(&&*namespace.name) || is_platform(namespace) || (held.peek().is_some() && held.all(is_platform))
}
