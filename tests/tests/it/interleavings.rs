//! Whatever people change, clouds deny and replicas do in whatever order: the state is that of an assessment from empty.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use platform_tests::Estate;
use rampart_domain::TokenId;
use rampart_store::assignment::{self, NewAssignment};
use rampart_store::custom::{self, Format};
use rampart_store::{AccessScope, TenantTx, initiative};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::assessment::Model;

const TOKEN: TokenId = TokenId(Uuid::nil());
const OWN: &str = "custom.own";

/// What is assigned, what an own initiative chooses and what an own control asks, beside what [`Model`] exempts.
#[derive(Debug, Clone, Default)]
struct Controls {
    /// By name, with the number of the variant.
    assigned: BTreeMap<&'static str, usize>,
    chosen: Option<usize>,
    asked: Option<usize>,
}

/// Conditions of the own control.
const QUESTIONS: [&str; 3] = ["resource.name == 'd0'", "resource.namespace == 'a'", "resource.name != 'd1'"];

fn control(question: usize) -> String {
    format!(
        "id: {OWN}\nversion: 1\ntitle: Own\nseverity: high\ngroup: security_configurations\ntype: data_plane\n\
         kinds: [k8s.deployment]\nrationale: Why.\nviolation: {}\nmessage: \"'wrong'\"\n\
         remediation: {{ text: Do., manual: by hand }}\nexamples:\n  - {{ name: a, status: healthy, object: {{}} }}\n  \
         - {{ name: b, status: unhealthy, object: {{}} }}\n",
        QUESTIONS[question]
    )
}

fn choices(variant: usize) -> Value {
    let chosen = [
        json!([{"id": "custom.*"}]),
        json!([{"id": "k8s.pod.*"}]),
        json!([{"id": "custom.*"}, {"id": "k8s.serviceaccount.*"}]),
    ];
    json!({"description": "", "controls": chosen[variant]})
}

/// An assignment by its name; `own` can be made only while its initiative is there.
fn assigned(estate: &Estate, name: &'static str, variant: usize) -> NewAssignment {
    let namespace = |ns: &str| AccessScope::Namespace(estate.cluster.id, ns.to_owned());
    let scopes = [AccessScope::Tenant, AccessScope::Cluster(estate.cluster.id), namespace("a"), namespace("b")];
    NewAssignment {
        name: name.into(),
        initiative: if name == "own" { name } else { ["pss-baseline", "pss-restricted"][variant % 2] }.into(),
        scope: scopes[variant % scopes.len()].clone(),
        params: json!({}),
        excluded_namespaces: if variant.is_multiple_of(3) { vec!["b".into()] } else { Vec::new() },
        enabled: variant % 5 != 4,
    }
}

impl Controls {
    /// Changes one thing, here and in the estate.
    async fn change(&mut self, rng: &mut StdRng, estate: &Estate) {
        let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
        let variant = rng.random_range(0..12);
        match rng.random_range(0..6) {
            0 => {
                let asked = variant % QUESTIONS.len();
                let text = control(asked);
                match self.asked.replace(asked) {
                    Some(_) => {
                        custom::update(&mut tx, Format::Control, OWN, None, (&text, &[]), TOKEN.into()).await.map(drop)
                    }
                    None => custom::create(&mut tx, Format::Control, OWN, &text, TOKEN.into()).await.map(drop),
                }
                .unwrap();
            }
            1 if self.asked.take().is_some() => {
                custom::delete(&mut tx, Format::Control, OWN, None, &[], TOKEN.into()).await.unwrap();
            }
            2 => {
                let definition = choices(variant % 3);
                match self.chosen.replace(variant % 3) {
                    Some(_) => initiative::update(&mut tx, "own", None, "Own", &definition).await.map(drop),
                    None => initiative::create(&mut tx, "own", "Own", &definition).await.map(drop),
                }
                .unwrap();
            }
            _ => {
                let names: &[&str] =
                    if self.chosen.is_some() { &["first", "second", "own"] } else { &["first", "second"] };
                let name = names[rng.random_range(0..names.len())];
                let there = assignment::all(&mut tx).await.unwrap().into_iter().find(|one| one.name == name);
                match there {
                    Some(there) if rng.random_bool(0.4) => {
                        self.assigned.remove(name);
                        assignment::delete(&mut tx, there.id, None).await.unwrap();
                    }
                    Some(there) => {
                        self.assigned.insert(name, variant);
                        assignment::update(&mut tx, there.id, None, &assigned(estate, name, variant)).await.unwrap();
                    }
                    None => {
                        self.assigned.insert(name, variant);
                        assignment::create(&mut tx, &assigned(estate, name, variant)).await.unwrap();
                    }
                }
            }
        }
        tx.commit().await.unwrap();
    }

    /// Brings an estate that has none of this to this state.
    async fn set(&self, tx: &mut TenantTx, estate: &Estate) {
        if let Some(asked) = self.asked {
            custom::create(tx, Format::Control, OWN, &control(asked), TOKEN.into()).await.unwrap();
        }
        if let Some(chosen) = self.chosen {
            initiative::create(tx, "own", "Own", &choices(chosen)).await.unwrap();
        }
        for (name, variant) in &self.assigned {
            assignment::create(tx, &assigned(estate, name, *variant)).await.unwrap();
        }
    }
}

/// How replicas got in each other's way.
#[derive(Debug, Default)]
struct Figures {
    edits: usize,
    denials: usize,
    controls: usize,
    late_lists: usize,
    assessments: usize,
    lost_leases: usize,
    nothing_due: usize,
}

/// Edits, denials and changes of controls, while assessments run that lose their leases to each other, and lists end that began
/// before others.
async fn live(
    rng: &mut StdRng,
    estate: &Arc<Estate>,
    model: &mut Model,
    controls: &mut Controls,
    figures: &mut Figures,
) {
    let mut replicas = JoinSet::new();
    let mut late = VecDeque::new();
    for _ in 0..rng.random_range(12..24) {
        let kind = model.mutate(rng);
        figures.edits += 1;
        match rng.random_range(0..10) {
            0 | 1 => {
                figures.denials += 1;
                estate.deny(kind).await;
            }
            2 | 3 => late.push_back((Utc::now(), kind, model.resources(estate, kind))),
            _ => model.list(estate, kind).await,
        }
        if rng.random_bool(0.4) {
            figures.controls += 1;
            controls.change(rng, estate).await;
        }
        if rng.random_bool(0.2) {
            model.change_policy(rng, estate).await;
        }
        for _ in 0..rng.random_range(0..3) {
            let estate = estate.clone();
            replicas.spawn(async move { estate.contend().await });
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..40))).await;
        if rng.random_bool(0.25) {
            let subject = estate.cluster.id;
            let over = format!(
                "update work set lease_until = now() - interval '1 second'
                 where kind = 'assess' and subject = '{subject}' and lease_until is not null"
            );
            estate.database.run(&over).await;
        }
        if late.len() > 1 || rng.random_bool(0.2) {
            let Some((began, kind, resources)) = late.pop_front() else { continue };
            figures.late_lists += 1;
            estate.list_begun(began, kind, resources).await;
        }
    }
    while let Some(ended) = replicas.join_next().await {
        match ended.expect("a replica does not panic") {
            Some(true) => figures.assessments += 1,
            Some(false) => figures.lost_leases += 1,
            None => figures.nothing_due += 1,
        }
    }
    let over = "update work set lease_until = null where lease_until is not null";
    estate.database.run(over).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_any_changes_by_people_clouds_and_replicas_the_state_equals_an_assessment_from_empty() {
    let rounds = if std::env::var_os("RAMPART_TEST_FULL").is_some() { 24 } else { 4 };
    let first = Estate::new().await;
    let mut figures = Figures::default();
    let mut judged = 0;
    for seed in 0..rounds {
        let mut rng = StdRng::seed_from_u64(1_000 + seed);
        let (mut model, mut controls) = (Model::new(), Controls::default());
        let grown = Arc::new(Estate::beside(first.database.clone()).await);
        live(&mut rng, &grown, &mut model, &mut controls, &mut figures).await;
        model.list_all(&grown).await;
        grown.assess().await;
        let fresh = Estate::beside(first.database.clone()).await;
        model.list_all(&fresh).await;
        model.set_policy(&fresh).await;
        let mut tx = fresh.store.tenant(fresh.tenant).await.unwrap();
        controls.set(&mut tx, &fresh).await;
        tx.commit().await.unwrap();
        fresh.assess().await;
        let expected = fresh.verdicts().await;
        assert_eq!(grown.verdicts().await, expected, "seed {seed}, {controls:?}");
        assert_eq!(grown.counters().await, fresh.counters().await, "counters, seed {seed}, {controls:?}");
        assert!(!expected.is_empty());
        judged += expected.len();
    }
    eprintln!("{rounds} sequences, {judged} verdicts equal: {figures:?}");
    assert!(figures.lost_leases > 0 && figures.late_lists > 0, "{figures:?}");
}
