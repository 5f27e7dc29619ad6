//! The history of the secure score accounts for every move of its counters, and lost access never looks like getting better.

use std::collections::BTreeMap;

use chrono::{TimeDelta, Utc};
use platform_tests::Estate;
use rampart_domain::exemption::Condition;
use rampart_domain::{ExemptionCategory, ExemptionId, Kind, Resource, ScoreCause};
use rampart_posture::score_ledger::{Counts, Standing, steps};
use rampart_store::assignment::{self, NewAssignment};
use rampart_store::exemption::{self, Selected, Terms};
use rampart_store::score::Reach;
use rampart_store::score_history::{self as history, Span};
use rampart_store::{AccessScope, Visible, initiative, inventory};
use serde_json::json;

/// Counters by group: healthy, unhealthy, unknown, stale, exempt.
type Sums = BTreeMap<String, [i64; 5]>;

fn deployment(estate: &Estate, name: &str, privileged: bool) -> Resource {
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": name}},
        "spec": {"replicas": 1, "template": {"spec": {"containers": [{
            "name": "c", "image": "registry.example/web:1", "securityContext": {"privileged": privileged},
        }]}}},
    });
    estate.object(Kind::K8sDeployment, object)
}

/// What one step of the story did.
struct Step {
    causes: BTreeMap<ScoreCause, [i64; 5]>,
    /// Before and after, in steps.
    score: (i64, i64),
}

struct Story {
    estate: Estate,
    told: BTreeMap<(String, ScoreCause), [i64; 5]>,
    score: i64,
}

impl Story {
    async fn list(&self, deployments: &[(&str, bool)]) {
        let all = deployments.iter().map(|(name, privileged)| deployment(&self.estate, name, *privileged));
        self.estate.list(Kind::K8sDeployment, all.collect()).await;
    }

    /// Assesses, checks that the moves add up to the counters, and tells what is new.
    async fn turn(&mut self) -> Step {
        self.estate.assess().await;
        let mut tx = self.estate.store.snapshot(self.estate.tenant).await.unwrap();
        let since = history::extent(&mut tx, Utc::now()).await.unwrap().since;
        let span = Span { from: since, to: history::minute(Utc::now()) + TimeDelta::minutes(1), seconds: 60 };
        let (counts, moves) = history::moves(&mut tx, &Reach::default(), &span).await.unwrap();
        let (mut by_cause, mut sums) = (BTreeMap::new(), Sums::new());
        for it in moves {
            let delta = [it.delta.healthy, it.delta.unhealthy, it.delta.unknown, it.delta.stale, it.delta.exempt];
            add(sums.entry(it.score_group.clone()).or_default(), delta, 1);
            add(by_cause.entry((it.score_group, it.cause)).or_default(), delta, 1);
        }
        let counted: Sums = counts
            .iter()
            .map(|row| (row.score_group.clone(), [row.healthy, row.unhealthy, row.unknown, row.stale, row.exempt]))
            .collect();
        sums.retain(|_, sum| *sum != [0; 5]);
        let counted: Sums = counted.into_iter().filter(|(_, count)| *count != [0; 5]).collect();
        assert_eq!(sums, counted, "the moves add up to the counters");
        let mut causes: BTreeMap<ScoreCause, [i64; 5]> = BTreeMap::new();
        for ((group, cause), sum) in &by_cause {
            let mut new = *sum;
            add(&mut new, self.told.get(&(group.clone(), *cause)).copied().unwrap_or_default(), -1);
            if new != [0; 5] {
                add(causes.entry(*cause).or_default(), new, 1);
            }
        }
        self.told = by_cause;
        let standing: Standing = counts
            .iter()
            .map(|row| {
                let (healthy, unhealthy, unknown) = (row.healthy, row.unhealthy, row.unknown);
                let counts = Counts { healthy, unhealthy, unknown, stale: row.stale, exempt: row.exempt };
                (row.score_group.as_str(), counts)
            })
            .collect();
        let before = self.score;
        self.score = steps(standing.score(self.estate.knowledge().catalogue.groups()).percent);
        Step { causes, score: (before, self.score) }
    }
}

fn add(sum: &mut [i64; 5], delta: [i64; 5], sign: i64) {
    sum.iter_mut().zip(delta).for_each(|(sum, delta)| *sum += sign * delta);
}

#[track_caller]
fn only(step: &Step, cause: ScoreCause) -> [i64; 5] {
    assert_eq!(step.causes.keys().copied().collect::<Vec<_>>(), [cause], "{:?}", step.causes);
    step.causes[&cause]
}

/// Leaves one control, so that a resource counts by it alone.
async fn assign_one(estate: &Estate) {
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    for old in assignment::all(&mut tx).await.unwrap() {
        assignment::delete(&mut tx, old.id, None).await.unwrap();
    }
    let choices = json!({"description": "", "controls": [{"id": "k8s.pod.privileged"}]});
    initiative::create(&mut tx, "one", "One", &choices).await.unwrap();
    let new = NewAssignment {
        name: "one".into(),
        initiative: "one".into(),
        scope: AccessScope::Tenant,
        params: json!({}),
        excluded_namespaces: Vec::new(),
        enabled: true,
    };
    assignment::create(&mut tx, &new).await.unwrap();
    tx.commit().await.unwrap();
}

async fn exempt(estate: &Estate) -> ExemptionId {
    let terms = Terms {
        name: "all".to_owned(),
        category: ExemptionCategory::Waiver,
        reason: "accepted".to_owned(),
        approved_by: None,
        expires_at: None,
        selected: Selected::Controls(vec!["k8s.pod.privileged".to_owned()]),
        condition: Condition::read(&json!({"namespace": "shop"}), "").unwrap(),
    };
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    let made = exemption::create(&mut tx, &terms).await.unwrap();
    tx.commit().await.unwrap();
    made.id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_move_has_its_cause_and_lost_access_earns_nothing() {
    let estate = Estate::new().await;
    assign_one(&estate).await;
    let mut story = Story { estate, told: BTreeMap::new(), score: 0 };
    story.list(&[("a", true), ("b", false)]).await;
    let step = story.turn().await;
    only(&step, ScoreCause::ResourceNew);
    let began = step.score.1;

    story.list(&[("a", false), ("b", false)]).await;
    let step = story.turn().await;
    let [_, unhealthy, ..] = only(&step, ScoreCause::Fixed);
    assert!(unhealthy < 0 && step.score.1 > step.score.0, "{:?}", step.causes);

    story.list(&[("a", true), ("b", false)]).await;
    let step = story.turn().await;
    only(&step, ScoreCause::FindingNew);
    assert_eq!(step.score.1, began);

    let exemption = exempt(&story.estate).await;
    let step = story.turn().await;
    assert!(only(&step, ScoreCause::Exempted)[4] > 0);
    let mut tx = story.estate.store.tenant(story.estate.tenant).await.unwrap();
    exemption::delete(&mut tx, exemption, None).await.unwrap();
    tx.commit().await.unwrap();
    let step = story.turn().await;
    assert!(only(&step, ScoreCause::ExemptionEnded)[4] < 0);
    assert_eq!(step.score.1, began);

    story.estate.deny(Kind::K8sDeployment).await;
    let step = story.turn().await;
    let [healthy, unhealthy, _, stale, _] = only(&step, ScoreCause::AccessLost);
    assert!((healthy, unhealthy) == (0, 0) && stale > 0, "{:?}", step.causes);
    assert_eq!(step.score, (began, began), "what is old counts as it stood");

    inventory::expire(&story.estate.store, 24, Utc::now() + TimeDelta::hours(25)).await.unwrap();
    let step = story.turn().await;
    let [healthy, unhealthy, ..] = only(&step, ScoreCause::AccessLost);
    assert!(healthy < 0 && unhealthy == 0, "what violated goes on costing: {:?}", step.causes);
    assert!(step.score.1 <= step.score.0, "{:?}", step.score);
    let step = story.turn().await;
    assert!(step.causes.is_empty(), "nothing moved: {:?}", step.causes);

    story.list(&[("a", true), ("b", false)]).await;
    let step = story.turn().await;
    only(&step, ScoreCause::AccessRegained);
    assert_eq!(step.score.1, began);

    story.list(&[("b", false)]).await;
    let step = story.turn().await;
    only(&step, ScoreCause::ResourceGone);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_assessment_costs_rows_per_group_and_others_have_none() {
    let mut story = Story { estate: Estate::new().await, told: BTreeMap::new(), score: 0 };
    let names: Vec<String> = (0..1_500).map(|number| format!("d{number}")).collect();
    let all: Vec<(&str, bool)> = names.iter().map(|name| (name.as_str(), true)).collect();
    story.list(&all).await;
    only(&story.turn().await, ScoreCause::ResourceNew);
    let rows = story.told.len();
    let groups = story.estate.knowledge().catalogue.groups().len();
    assert!(rows <= groups, "{rows} rows for {groups} groups");

    let other = Estate::beside(story.estate.database.clone()).await;
    let mut tx = other.store.snapshot(other.tenant).await.unwrap();
    let span = Span { from: Utc::now() - TimeDelta::days(1), to: Utc::now(), seconds: 60 };
    let (counts, moves) = history::moves(&mut tx, &Reach::default(), &span).await.unwrap();
    assert!(counts.is_empty() && moves.is_empty(), "what another tenant's score was is not told");
    let nobody = Visible { clusters: vec![story.estate.cluster.id.0], ..Visible::default() };
    let scope = AccessScope::Cluster(story.estate.cluster.id);
    assert!(rampart_store::score::past_reach(&mut tx, &nobody, &scope).await.is_err());
}
