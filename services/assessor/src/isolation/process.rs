use std::collections::HashMap;
use std::io::{BufRead as _, Write};

use nix::sys::resource::{Resource, setrlimit};
use rampart_posture::policy::bundle::{self, Bundled};
use rampart_posture::policy::{Inventory, Policy, Review};
use serde_json::Value;

use super::wire::{Answer, Ask};

/// Address space that the process may take beyond what it begins with. A policy that wants more ends it, and nothing else.
const MEMORY: u64 = 1 << 30;
/// What it begins with, where that cannot be told.
const BEGINS_WITH: u64 = 1 << 30;

/// Judges by what comes on standard input until that ends. The life of the process that policies of customers run in.
pub fn run() -> std::io::Result<()> {
    limit();
    let mut out = std::io::stdout();
    let mut policies: HashMap<String, Box<dyn Policy>> = HashMap::new();
    let mut object = Value::Null;
    for line in std::io::stdin().lock().lines() {
        let Ok(ask) = serde_json::from_str::<Ask>(&line?) else { return Ok(()) };
        let answer = match ask {
            Ask::Load(bundles) => {
                let loaded = bundles.iter().filter_map(|(name, text)| bundle::load(name, text).ok()).flatten();
                policies.extend(loaded.map(|Bundled { control, policy }| (control.id, policy)));
                // A line of its own, whatever was printed before.
                writeln!(out)?;
                Answer::Ready
            }
            Ask::Review { policy, object: given, namespace } => {
                object = given.unwrap_or(object);
                match policies.get(&policy) {
                    Some(policy) => review(&**policy, &object, namespace.as_ref()),
                    None => Answer::Unknown("the policy cannot be loaded".to_owned()),
                }
            }
        };
        writeln!(out, "{}", serde_json::to_string(&answer)?)?;
        out.flush()?;
    }
    Ok(())
}

fn review(policy: &dyn Policy, object: &Value, namespace: Option<&Value>) -> Answer {
    let inventory = Inventory::default();
    let (old_object, operation, user) = (None, None, None);
    policy.review(&Review { object, old_object, operation, namespace, user, inventory: &inventory }).into()
}

/// Bounds what the process can take, and makes it the first to go where the machine runs out of memory. What cannot be
/// set is let be: the time of every answer is bounded from outside.
fn limit() {
    let most = address_space().unwrap_or(BEGINS_WITH) + MEMORY;
    let _ = setrlimit(Resource::RLIMIT_AS, most, most);
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let _ = setrlimit(Resource::RLIMIT_FSIZE, 0, 0);
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
}

/// Bytes of address space that the process has.
fn address_space() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}
