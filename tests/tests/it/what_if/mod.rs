//! What a question predicts is what happens when its changes are made, and asking changes nothing.

mod model;

use std::collections::{BTreeMap, BTreeSet};

use platform_tests::{Estate, Platform};
use rampart_domain::{AssignmentId, Kind, UnitId, hash_json};
use rampart_posture::compliance::{RequirementStatus, answers};
use rampart_posture::score::{ControlTally, Tally, score};
use rampart_store::assignment::{self, NewAssignment};
use rampart_store::job::JobKind;
use rampart_store::job::what_if::{Counts, Moved, Outcome};
use rampart_store::verdict::{self, Bitmap};
use rampart_store::{AccessScope, Visible, initiative};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use uuid::Uuid;

use self::model::{Model, PRIVILEGED};

/// Status by resource, control and hash of the parameters.
type Verdicts = BTreeMap<(Uuid, String, Vec<u8>), String>;
type Differences = BTreeMap<(Uuid, String, Vec<u8>), (Option<String>, Option<String>)>;

fn everything() -> Visible {
    Visible { all: true, ..Visible::default() }
}

async fn ask(estate: &Estate, visible: &Visible, scope: &Value, changes: &[Value]) -> Result<Outcome, String> {
    let job = estate.ask(JobKind::WhatIf, visible, &json!({"scope": scope, "changes": changes})).await;
    match (job.result, job.error) {
        (Some(result), None) => Ok(serde_json::from_value(result).unwrap()),
        (None, Some(error)) => Err(error),
        other => panic!("{other:?}"),
    }
}

async fn stored(estate: &Estate) -> Verdicts {
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    let checks: BTreeMap<i32, (String, Vec<u8>)> =
        verdict::check_ordinals(&mut tx).await.unwrap().into_iter().map(|(key, ordinal)| (ordinal, key)).collect();
    let mut all = Verdicts::new();
    let mut set = |id: Uuid, ordinal: i32, word: &str| {
        let (control, hash) = checks[&ordinal].clone();
        all.insert((id, control, hash), word.to_owned());
    };
    let packs = verdict::packs_of_unit(&mut tx, UnitId::from(estate.cluster.id)).await.unwrap();
    let ids: Vec<Uuid> = packs.iter().map(|pack| pack.resource_id).collect();
    for pack in packs {
        let words = [("unknown", pack.unknown), ("healthy", pack.healthy), ("not_applicable", pack.not_applicable)];
        for (word, bytes) in words {
            Bitmap::from_bytes(bytes).iter().for_each(|ordinal| set(pack.resource_id, ordinal, word));
        }
    }
    for finding in verdict::findings_of(&mut tx, &ids).await.unwrap() {
        if finding.status == "unhealthy" {
            set(finding.resource_id, finding.ordinal, "unhealthy");
        }
    }
    all
}

fn differences(before: &Verdicts, after: &Verdicts) -> Differences {
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let pair = |key| (before.get(key).cloned(), after.get(key).cloned());
    keys.into_iter().map(|key| (key.clone(), pair(key))).filter(|(_, (from, to))| from != to).collect()
}

fn predicted(outcome: &Outcome) -> Differences {
    let mut all = Differences::new();
    for list in [&outcome.newly_failing, &outcome.newly_passing, &outcome.otherwise] {
        for it in &list.items {
            let key = (it.resource.id, it.control_id.clone(), hash_json(&it.params).0.to_vec());
            assert_eq!(it.evidence.is_some(), it.to.as_deref() == Some("unhealthy"), "{it:?}");
            assert!(all.insert(key, (it.from.clone(), it.to.clone())).is_none(), "{it:?} twice");
        }
    }
    all
}

/// Counts per control and per group, from the store's counters.
fn counts(counters: &Value) -> (BTreeMap<String, Counts>, BTreeMap<String, Counts>) {
    let (mut controls, mut groups): (BTreeMap<String, Counts>, BTreeMap<String, Counts>) = Default::default();
    for (name, numbers) in counters.as_object().unwrap() {
        let (first, rest) = name.split_once('/').unwrap();
        let counts = match first {
            "unhealthy" => continue,
            "group" => groups.entry(rest.to_owned()).or_default(),
            control => controls.entry(control.to_owned()).or_default(),
        };
        let number = |at: usize| numbers[at].as_i64().unwrap();
        counts.healthy += number(0);
        counts.unhealthy += number(1);
        counts.not_applicable += number(2);
        counts.unknown += number(3);
        counts.stale += number(4);
        counts.exempt += number(5);
    }
    (controls, groups)
}

fn check_moved(
    what: &str,
    told: &[Moved<Counts>],
    before: &BTreeMap<String, Counts>,
    after: &BTreeMap<String, Counts>,
) {
    let of = |counts: &BTreeMap<String, Counts>, id: &String| counts.get(id).copied().unwrap_or_default();
    let ids: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let expected: BTreeMap<&String, (Counts, Counts)> =
        ids.into_iter().map(|id| (id, (of(before, id), of(after, id)))).filter(|(_, (a, b))| a != b).collect();
    let told: BTreeMap<&String, (Counts, Counts)> =
        told.iter().map(|it| (&it.id, (it.pair.before, it.pair.after))).collect();
    assert_eq!(told, expected, "{what}");
}

fn tally(counts: &Counts) -> Tally {
    let [healthy, unhealthy, unknown, stale, exempt] =
        [counts.healthy, counts.unhealthy, counts.unknown, counts.stale, counts.exempt].map(i64::unsigned_abs);
    Tally { healthy, unhealthy, unknown, stale, exempt }
}

/// Equality of percentages that may have been text in between.
fn is_close(one: Option<f64>, two: Option<f64>) -> bool {
    one.zip(two).map_or(one == two, |(one, two)| (one - two).abs() < 1e-9)
}

/// Holds an outcome against what the store has before and after the changes were made.
fn check(estate: &Estate, outcome: &Outcome, before: (&Verdicts, &Value), after: (&Verdicts, &Value), what: &str) {
    let (told, happened) = (predicted(outcome), differences(before.0, after.0));
    let lists = [&outcome.newly_failing, &outcome.newly_passing, &outcome.otherwise];
    if lists.iter().all(|list| list.total == list.items.len()) {
        let either: BTreeSet<_> = told.keys().chain(happened.keys()).collect();
        let wrong = either.into_iter().filter(|key| told.get(*key) != happened.get(*key));
        let wrong: Vec<_> = wrong.map(|key| (key, told.get(key), happened.get(key))).collect();
        assert!(wrong.is_empty(), "{what}: told and happened differ: {wrong:?}");
    } else {
        // Long lists are cut.
        assert_eq!(lists.map(|list| list.total).iter().sum::<usize>(), happened.len(), "{what}");
        assert!(told.iter().all(|(key, pair)| happened.get(key) == Some(pair)), "{what}");
    }
    let ((controls_before, groups_before), (controls_after, groups_after)) = (counts(before.1), counts(after.1));
    check_moved(what, &outcome.controls, &controls_before, &controls_after);
    check_moved(what, &outcome.groups, &groups_before, &groups_after);
    let catalogue = &estate.knowledge().catalogue;
    let percent = |groups: &BTreeMap<String, Counts>| {
        let tallies: Vec<_> =
            groups.iter().map(|(group, counts)| ControlTally { group, tally: tally(counts) }).collect();
        score(catalogue.groups(), &tallies).percent
    };
    assert!(is_close(outcome.score.before.percent, percent(&groups_before)), "{what}");
    assert!(is_close(outcome.score.after.percent, percent(&groups_after)), "{what}");
    let mut told: BTreeMap<&str, usize> = BTreeMap::new();
    for framework in &outcome.frameworks {
        told.insert(&framework.id, framework.requirements.len());
    }
    let mut expected: BTreeMap<&str, usize> = BTreeMap::new();
    for framework in catalogue.frameworks() {
        for (requirement, controls) in answers(catalogue, framework) {
            let status = |counts: &BTreeMap<String, Counts>| {
                let of = |id: &String| counts.get(id).map(tally).unwrap_or_default();
                let tallies: Vec<Tally> = controls.iter().map(|control| of(&control.id)).collect();
                RequirementStatus::of(requirement.assessment, &tallies)
            };
            if status(&controls_before) != status(&controls_after) {
                *expected.entry(&framework.id).or_default() += 1;
            }
        }
    }
    assert_eq!(told, expected, "{what}");
}

fn privileged(verdicts: &Verdicts) -> BTreeSet<Uuid> {
    let found = verdicts.iter().filter(|((_, control, _), status)| control == PRIVILEGED && *status == "unhealthy");
    found.map(|((id, ..), _)| *id).collect()
}

/// A change of policies, asked about and then made.
enum Policy {
    Assign(NewAssignment),
    Reassign(AssignmentId, NewAssignment),
    Unassign(AssignmentId),
    Initiative(Value),
}

impl Policy {
    fn random(rng: &mut StdRng, estate: &Estate, own: Option<AssignmentId>, round: usize) -> Self {
        let scopes = [
            AccessScope::Tenant,
            AccessScope::Cluster(estate.cluster.id),
            AccessScope::Namespace(estate.cluster.id, "a".into()),
        ];
        let version = ["v1.10", "v1.25", "latest"][rng.random_range(0..3)];
        let new = NewAssignment {
            name: format!("assignment-{round}"),
            initiative: "pss-restricted".into(),
            scope: scopes[rng.random_range(0..3)].clone(),
            params: json!({"pss-restricted": {"version": version}}),
            excluded_namespaces: if rng.random_bool(0.3) { vec!["b".into()] } else { Vec::new() },
            enabled: true,
        };
        match (own, rng.random_range(0..4)) {
            (_, 0) => {
                let controls = [json!([{"id": "k8s.pod.*"}]), json!([{"id": "*"}]), json!([{"id": PRIVILEGED}])];
                Self::Initiative(controls[rng.random_range(0..3)].clone())
            }
            (Some(id), 1) => Self::Unassign(id),
            (Some(id), 2) => Self::Reassign(id, new),
            _ => Self::Assign(new),
        }
    }

    fn asked(&self) -> Value {
        let scope = |scope: &AccessScope| match scope {
            AccessScope::Cluster(id) => json!({"type": "cluster", "cluster_id": id}),
            AccessScope::Namespace(id, ns) => json!({"type": "namespace", "cluster_id": id, "namespace": ns}),
            _ => json!({"type": "tenant"}),
        };
        let said = |word: &str, new: &NewAssignment| {
            json!({"type": word, "initiative": new.initiative, "scope": scope(&new.scope), "params": new.params,
                   "excluded_namespaces": new.excluded_namespaces})
        };
        match self {
            Self::Assign(new) => said("assign", new),
            Self::Reassign(id, new) => {
                let mut change = said("reassign", new);
                change["assignment_id"] = json!(id);
                change
            }
            Self::Unassign(id) => json!({"type": "unassign", "assignment_id": id}),
            Self::Initiative(controls) => json!({"type": "initiative", "name": "own", "controls": controls}),
        }
    }

    async fn make(self, estate: &Estate, own: &mut Option<AssignmentId>) {
        let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
        match self {
            Self::Assign(new) => *own = Some(assignment::create(&mut tx, &new).await.unwrap().id),
            Self::Reassign(id, new) => drop(assignment::update(&mut tx, id, None, &new).await.unwrap()),
            Self::Unassign(id) => {
                assignment::delete(&mut tx, id, None).await.unwrap();
                *own = None;
            }
            Self::Initiative(controls) => {
                let definition = json!({"description": "", "controls": controls});
                drop(initiative::update(&mut tx, "own", None, "own", &definition).await.unwrap());
            }
        }
        tx.commit().await.unwrap();
    }
}

/// The estate with an initiative of its own beside the default one.
async fn own_initiative(estate: &Estate) {
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    let definition = json!({"description": "", "controls": [{"id": "k8s.rbac.*"}]});
    initiative::create(&mut tx, "own", "own", &definition).await.unwrap();
    let new = NewAssignment {
        name: "own".into(),
        initiative: "own".into(),
        scope: AccessScope::Tenant,
        params: json!({}),
        excluded_namespaces: Vec::new(),
        enabled: true,
    };
    assignment::create(&mut tx, &new).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_predicted_is_what_happens() {
    let (seeds, rounds) = if std::env::var_os("RAMPART_TEST_FULL").is_some() { (8, 40) } else { (2, 12) };
    let first = Estate::new().await;
    let mut differed = 0;
    for seed in 0..seeds {
        let mut rng = StdRng::seed_from_u64(seed);
        let estate = Estate::beside(first.database.clone()).await;
        own_initiative(&estate).await;
        let mut model = Model::new(&estate).await;
        estate.assess().await;
        let mut own = None;
        for round in 0..rounds {
            let (before, counters) = (stored(&estate).await, estate.counters().await);
            let mut changes: Vec<Value> = Vec::new();
            for _ in 0..rng.random_range(0..4) {
                changes.push(model.mutate(&mut rng, &privileged(&before)));
            }
            let policy =
                (changes.is_empty() || rng.random_bool(0.2)).then(|| Policy::random(&mut rng, &estate, own, round));
            changes.extend(policy.as_ref().map(Policy::asked));
            let what = format!("seed {seed}, round {round}: {}", json!(changes));
            let contents = estate.database.fingerprints(&["jobs", "work"]).await;
            let outcome = ask(&estate, &everything(), &json!({"type": "tenant"}), &changes).await;
            let outcome = outcome.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(
                estate.database.fingerprints(&["jobs", "work"]).await,
                contents,
                "{what}: something was written"
            );
            assert_eq!(outcome.unsettled, 0, "{what}");

            model.list().await;
            if let Some(policy) = policy {
                policy.make(&estate, &mut own).await;
            }
            estate.assess().await;
            let (after, now) = (stored(&estate).await, estate.counters().await);
            check(&estate, &outcome, (&before, &counters), (&after, &now), &what);
            differed += differences(&before, &after).len();
            model.refill();
            model.list().await;
            estate.assess().await;
        }
    }
    assert!(differed > 100, "the changes change something: {differed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_an_assessment_is_on_both_sides() {
    let estate = Estate::new().await;
    let mut model = Model::new(&estate).await;
    estate.assess().await;
    let mut rng = StdRng::seed_from_u64(1);
    for _ in 0..6 {
        model.mutate(&mut rng, &BTreeSet::new());
    }
    model.list().await;
    let deployment = model.of(Kind::K8sDeployment)[0].clone();
    let host_pid = model.config(&deployment)["spec"]["template"]["spec"]["hostPID"] == true;
    let change = json!({"type": "merge_patch", "resource_id": model.id(&deployment),
                        "patch": {"spec": {"template": {"spec": {"hostPID": !host_pid}}}}});
    let tenant = json!({"type": "tenant"});
    let early = ask(&estate, &everything(), &tenant, std::slice::from_ref(&change)).await.unwrap();
    assert_eq!(early.unsettled, 1);
    estate.assess().await;
    let settled = ask(&estate, &everything(), &tenant, &[change]).await.unwrap();
    assert_eq!(settled.unsettled, 0);
    assert!(!predicted(&settled).is_empty(), "the change changes something");
    assert_eq!(predicted(&early), predicted(&settled));
    assert!(settled.judged < 20, "only what lies near is judged: {}", settled.judged);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_changes_and_sees_what_lies_in_its_scope() {
    let estate = Estate::new().await;
    let model = Model::new(&estate).await;
    estate.assess().await;
    let cluster = estate.cluster.id.0;
    let visible = Visible { namespace_clusters: vec![cluster], namespaces: vec!["a".into()], ..Visible::default() };
    let deployment =
        |ns: &str| model.of(Kind::K8sDeployment).into_iter().find(|id| id.contains(&format!("/{ns}/"))).unwrap();
    let tenant = json!({"type": "tenant"});
    let to = |native: &str| {
        json!({"type": "merge_patch", "resource_id": model.id(native),
               "patch": {"spec": {"template": {"spec": {"hostPID": true}}}}})
    };
    let refused = ask(&estate, &visible, &tenant, &[to(&deployment("b"))]).await.unwrap_err();
    assert_eq!(refused, "/changes/0/resource_id: there is no such resource");
    let role = model.of(Kind::K8sClusterRole)[0].clone();
    assert!(ask(&estate, &visible, &tenant, &[to(&role)]).await.is_err(), "a cluster role lies in no namespace");
    let fix = json!({"type": "fix", "control": PRIVILEGED});
    let unassign = {
        let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
        let own = assignment::all(&mut tx).await.unwrap().remove(0);
        json!({"type": "unassign", "assignment_id": own.id})
    };
    for changes in [vec![to(&deployment("a"))], vec![fix], vec![unassign]] {
        let outcome = ask(&estate, &visible, &tenant, &changes).await.unwrap();
        let lists = [&outcome.newly_failing, &outcome.newly_passing, &outcome.otherwise];
        let seen: Vec<_> = lists.into_iter().flat_map(|list| &list.items).collect();
        assert!(!seen.is_empty(), "{changes:?}");
        assert!(seen.iter().all(|it| it.resource.namespace.as_deref() == Some("a")), "{seen:?}");
        assert!(outcome.fixes.items.iter().all(|fix| fix.status.as_deref() == Some("healthy")), "{:?}", outcome.fixes);
        let narrow = json!({"type": "namespace", "cluster_id": cluster, "namespace": "a"});
        let same = ask(&estate, &everything(), &narrow, &changes).await.unwrap();
        assert_eq!(
            (predicted(&same), same.score, same.controls),
            (predicted(&outcome), outcome.score, outcome.controls)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_said_and_what_no_patch_does_is_assumed() {
    let estate = Estate::new().await;
    let model = Model::new(&estate).await;
    estate.assess().await;
    let deployment = model.of(Kind::K8sDeployment)[0].clone();
    let pod = model.of(Kind::K8sPod)[0].clone();
    let tenant = json!({"type": "tenant"});
    let patch = |operations: Value| json!({"type": "patch", "resource_id": model.id(&deployment), "patch": operations});
    let test = json!({"op": "test", "path": "/spec/replicas", "value": 1});
    for (change, why) in [
        (
            patch(json!([test, {"op": "remove", "path": "/spec/x"}])),
            "/changes/0/patch/1: there is nothing at `/spec/x`",
        ),
        (patch(json!([{"op": "add", "path": "/metadata/name", "value": "x"}])), "`/metadata/name` cannot change"),
        (patch(json!([{"op": "replace", "path": "", "value": 1}])), "no object"),
        (json!({"type": "delete", "resource_id": model.id(&pod)}), "would make it anew"),
        (json!({"type": "fix", "control": "none"}), "/changes/0/control"),
        (json!({"type": "unassign", "assignment_id": Uuid::nil()}), "/changes/0/assignment_id"),
        (json!({"type": "assign", "initiative": "none", "scope": tenant}), "no assignment of `none`"),
    ] {
        let error = ask(&estate, &everything(), &tenant, std::slice::from_ref(&change)).await.unwrap_err();
        assert!(error.contains(why), "{change}: {error}");
    }
    let namespace = model.of(Kind::K8sNamespace)[0].clone();
    let gone = json!({"type": "delete", "resource_id": model.id(&namespace)});
    let outcome = ask(&estate, &everything(), &tenant, &[gone]).await.unwrap();
    let ended: Vec<_> = outcome.otherwise.items.iter().filter(|it| it.to.is_none()).collect();
    assert!(ended.iter().any(|it| it.resource.id == model.id(&deployment)), "a namespace goes with what lies in it");

    // A control that is unhealthy somewhere and has no patch.
    let catalogue = &estate.knowledge().catalogue;
    let without_patch = |id: &str| {
        let variants = &catalogue.control(id).unwrap().variants;
        variants.iter().all(|variant| variant.remediation.patch.is_none())
    };
    let verdicts = stored(&estate).await;
    let found = verdicts.iter().find(|((_, control, _), status)| *status == "unhealthy" && without_patch(control));
    let ((resource, control, _), _) = found.unwrap();
    let fix = json!({"type": "fix", "control": control, "resources": [resource]});
    let outcome = ask(&estate, &everything(), &tenant, &[fix]).await.unwrap();
    let told: Vec<Value> = outcome.fixes.items.iter().map(|fix| json!(fix)).collect();
    let expected = json!({"change": 0, "control_id": control, "resource_id": resource, "method": "assumed",
                          "status": "healthy"});
    assert_eq!(told, [expected]);
    let changed: BTreeSet<_> = predicted(&outcome).into_keys().map(|(id, control, _)| (id, control)).collect();
    assert_eq!(changed, BTreeSet::from([(*resource, control.clone())]), "nothing else is assumed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_is_answered_through_the_api() {
    let platform = Platform::start().await;
    let client = platform.tenant("demo").await;
    client.onboard_cluster(&platform.simulator, "factory-floor", "factory-floor").await;
    platform.scan(&client, &["factory-floor"]).await;
    let body = json!({"changes": [{"type": "fix", "control": PRIVILEGED}]});
    let asked = client.post("/v1/what-if", &body).await;
    let place = format!("/v1/what-if/{}", asked["id"].as_str().unwrap());
    platform.settle().await;
    let answered = client.get(&place).await;
    let outcome = &answered["outcome"];
    assert_eq!(answered["status"], "succeeded", "{answered}");
    let unhealthy = client.list(&format!("/v1/findings?control={PRIVILEGED}&status=unhealthy")).await.len();
    assert!(unhealthy > 0);
    assert_eq!(outcome["fixes"]["total"], unhealthy, "{outcome}");
    let fixes = outcome["fixes"]["items"].as_array().unwrap();
    let healed = fixes.iter().filter(|fix| fix["status"] == "healthy").count();
    assert!(healed > 0 && outcome["newly_passing"]["total"].as_u64() >= Some(healed as u64), "{outcome}");
    let now = client.get("/v1/secure-score").await;
    assert!(is_close(outcome["score"]["before"]["percent"].as_f64(), now["percent"].as_f64()), "{outcome}");
    let after = outcome["score"]["after"]["percent"].as_f64().unwrap();
    assert!(after > now["percent"].as_f64().unwrap() - 1e-9, "{outcome}");
    let standing = client.get("/v1/compliance").await;
    for framework in outcome["frameworks"].as_array().unwrap() {
        let same = standing["frameworks"].as_array().unwrap().iter().find(|it| it["id"] == framework["id"]).unwrap();
        assert_eq!(
            (&framework["before"]["passed"], &framework["before"]["failed"]),
            (&same["passed"], &same["failed"])
        );
    }
    assert_eq!(client.list("/v1/what-if").await.len(), 1);
}
