use std::collections::HashMap;
use std::time::{Duration, Instant};

use rampart_posture::{Check, Meter};

/// Time that one control of a customer may take for the resources of one batch.
const ONE: Duration = Duration::from_secs(10);
/// Time that all of them may take together.
const ALL: Duration = Duration::from_secs(30);

/// Times what a customer wrote over one batch. What has used up its time is unknown for the rest of it: every single
/// evaluation is bounded already, so that none of them goes far beyond.
#[derive(Default)]
pub(crate) struct Stopwatch {
    spent: HashMap<String, Duration>,
    all: Duration,
    began: Option<Instant>,
}

impl Meter for Stopwatch {
    fn begin(&mut self, check: &Check) -> Result<(), String> {
        if self.spent.get(&check.control_id).is_some_and(|spent| *spent > ONE) {
            return Err("the control used up its time on other resources".to_owned());
        }
        if self.all > ALL {
            return Err("the tenant's own controls used up their time on other resources".to_owned());
        }
        self.began = Some(Instant::now());
        Ok(())
    }

    fn end(&mut self, check: &Check) {
        let Some(began) = self.began.take() else { return };
        let spent = began.elapsed();
        self.all += spent;
        match self.spent.get_mut(&check.control_id) {
            Some(known) => *known += spent,
            None => {
                self.spent.insert(check.control_id.clone(), spent);
            }
        }
    }
}
