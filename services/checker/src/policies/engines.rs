//! The loaders of the policy engine.

use rampart_posture::policy::admission::{self, Unbound};
use rampart_posture::policy::gatekeeper::{self, Action, Constraint, Engine, Template};
use rampart_posture::policy::{LoadError, Policy};
use serde_json::Value;

use super::{Engined, Family, Found};
use crate::EngineChoice;

/// Where suites are run.
const SUITES: &str = "gator.gatekeeper.sh";
/// Where else objects are judged: on their way into a cluster, and in it.
const CLUSTER: [&str; 3] = ["validation.gatekeeper.sh", "vap.k8s.io", "audit.gatekeeper.sh"];

/// The policies that are in force anywhere.
pub(super) fn load(family: Family, documents: &[Value]) -> (Vec<Found>, Vec<LoadError>) {
    match family {
        Family::Gatekeeper => {
            let (constraints, errors) = gatekeeper::constraints(documents);
            (constraints.into_iter().filter_map(in_force).collect(), errors)
        }
        // A policy that is checked without its bindings is meant to be judged.
        Family::Admission => {
            let (found, errors) = admission::load(documents, Unbound::Judged);
            (found.into_iter().map(|policy| Found { policy, denies: true }).collect(), errors)
        }
    }
}

fn in_force(constraint: Constraint) -> Option<Found> {
    let actions: Vec<&Action> =
        CLUSTER.iter().chain([&SUITES]).flat_map(|point| constraint.enforcement().at(point)).collect();
    let denies = actions.iter().any(|action| !matches!(action, Action::Warn | Action::Dryrun));
    let in_force = !actions.is_empty();
    in_force.then(|| Found { denies, policy: Box::new(constraint) })
}

pub(super) fn each(template: &Value, constraint: &Value, choice: EngineChoice) -> Result<Vec<Engined>, LoadError> {
    let template = Template::parse(template)?;
    // What no engine takes is no constraint; what one does not take is left to the others.
    template.constraint(constraint)?;
    let engines: &[(Engine, &'static str)] = match choice {
        EngineChoice::Rego => &[(Engine::Rego, "rego")],
        EngineChoice::Cel => &[(Engine::Cel, "cel")],
        EngineChoice::Both => &[(Engine::Rego, "rego"), (Engine::Cel, "cel")],
    };
    let found = engines.iter().filter_map(|(engine, name)| {
        let policy = template.constraint_with(constraint, *engine).ok()?;
        let enforced = !policy.enforcement().at(SUITES).is_empty();
        Some(Engined { engine: name, policy: Box::new(policy) as Box<dyn Policy>, enforced })
    });
    Ok(found.collect())
}
