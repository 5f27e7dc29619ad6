//! Policies whose memory nothing meters run in a process of their own: what they do to it, they do to nobody else.
//!
//! ```text
//! engine ─▶ Isolated: does it look at the object at all? ─▶ line of JSON ─▶ process ─▶ line of JSON ─▶ Decision
//!                                                        no answer in time, or the process ended: unknown
//! ```
//! Rego counts steps and time but can double a text thirty times within both. The process has a bounded address space; an
//! answer has a bounded time. A policy that ends it repeatedly is not run again until it, or another of the tenant's
//! sources, is changed.

mod process;
mod wire;

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use process::run;
use rampart_posture::policy::{Decision, Needs, Policy, Review};
use wire::{Answer, Ask};

/// Time for one answer. Rego ends by itself after two seconds, save within one call of a function.
const ANSWER: Duration = Duration::from_secs(5);
/// Time for loading all bundles of a tenant.
const START: Duration = Duration::from_mins(1);
/// Times that a policy may end its process.
const STRIKES: u32 = 3;
/// The running program, on Linux.
const SELF: &str = "/proc/self/exe";
/// Time until a process that could not be started is tried again.
const REST: Duration = Duration::from_secs(30);

/// How the process is started.
#[derive(Debug, Clone)]
pub struct Isolation {
    /// The program; `None` for the one that runs.
    pub program: Option<PathBuf>,
    /// Its arguments.
    pub args: Vec<String>,
}

impl Default for Isolation {
    /// The running program, with the command that makes it call [`run`].
    fn default() -> Self {
        Self { program: None, args: vec!["judge-policies".to_owned()] }
    }
}

/// The process of one tenant, started when it is needed. Its policies take turns.
pub(crate) struct Host {
    isolation: Isolation,
    bundles: Vec<(String, String)>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: Option<Running>,
    strikes: HashMap<String, u32>,
    /// When it could not be started, and why.
    failed: Option<(Instant, String)>,
}

struct Running {
    child: Child,
    input: ChildStdin,
    answers: Receiver<String>,
    /// The object that it was given last.
    object: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Host {
    /// A host for the bundles, by name and text.
    pub(crate) fn new(isolation: Isolation, bundles: Vec<(String, String)>) -> Arc<Self> {
        Arc::new(Self { isolation, bundles, state: Mutex::default() })
    }

    /// The policy as it is to be run: here, or in the process.
    pub(crate) fn take(self: &Arc<Self>, control_id: &str, policy: Box<dyn Policy>) -> Arc<dyn Policy> {
        if policy.needs().isolation {
            Arc::new(Isolated { control_id: control_id.to_owned(), inner: policy, host: Arc::clone(self) })
        } else {
            Arc::from(policy)
        }
    }

    fn review(&self, control_id: &str, review: &Review<'_>) -> Decision {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.strikes.get(control_id).is_some_and(|strikes| *strikes >= STRIKES) {
            return Decision::Unknown("the policy went beyond its limits before, and is not run any more".to_owned());
        }
        if let Some((at, why)) = state.failed.as_ref().filter(|(at, _)| at.elapsed() < REST) {
            let wait = REST.saturating_sub(at.elapsed()).as_secs();
            return Decision::Unknown(format!("{why}; tried again in {wait} s"));
        }
        if state.running.is_none() {
            match self.start() {
                Ok(running) => state.running = Some(running),
                Err(why) => {
                    tracing::error!(error = why, "the process of policies could not be started");
                    let why = "the process of the policy could not be started".to_owned();
                    state.failed = Some((Instant::now(), why.clone()));
                    return Decision::Unknown(why);
                }
            }
        }
        let Some(running) = state.running.as_mut() else {
            return Decision::Unknown("the process of the policy is gone".to_owned());
        };
        match running.review(control_id, review) {
            Ok(answer) => answer.into(),
            Err(why) => {
                state.running = None;
                *state.strikes.entry(control_id.to_owned()).or_default() += 1;
                tracing::warn!(control.id = control_id, why, "a policy went beyond its limits");
                Decision::Unknown(why.to_owned())
            }
        }
    }

    fn start(&self) -> Result<Running, String> {
        let words = |error: &std::io::Error| error.to_string();
        let program = match &self.isolation.program {
            Some(program) => program.clone(),
            // The one that runs, though its file may have been replaced since.
            None if Path::new(SELF).exists() => SELF.into(),
            None => std::env::current_exe().map_err(|error| words(&error))?,
        };
        // Nothing of this process's environment, which may hold secrets.
        let child = Command::new(program)
            .args(&self.isolation.args)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.map_err(|error| words(&error))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("it has no standard input or output".to_owned());
        };
        let (sender, answers) = sync_channel(1);
        let reader = move || {
            for line in BufReader::new(output).lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        };
        let mut running = Running { child, input, answers, object: String::new() };
        std::thread::Builder::new().name("policies".to_owned()).spawn(reader).map_err(|error| words(&error))?;
        running.send(&Ask::Load(self.bundles.clone())).map_err(str::to_owned)?;
        let deadline = Instant::now() + START;
        loop {
            let line = running.answers.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            let line = line.map_err(|_| "it did not load the policies".to_owned())?;
            // What a program prints before it gets so far is not for us.
            if matches!(serde_json::from_str(&line), Ok(Answer::Ready)) {
                return Ok(running);
            }
        }
    }
}

impl Running {
    fn send(&mut self, ask: &Ask) -> Result<(), &'static str> {
        let text = serde_json::to_string(ask).map_err(|_| "the object could not be handed over")?;
        let sent = writeln!(self.input, "{text}").and_then(|()| self.input.flush());
        sent.map_err(|_| "the process of the policy ended")
    }

    fn review(&mut self, control_id: &str, review: &Review<'_>) -> Result<Answer, &'static str> {
        let object = review.object.to_string();
        let is_new = object != self.object;
        let ask = Ask::Review {
            policy: control_id.to_owned(),
            object: is_new.then(|| review.object.clone()),
            namespace: review.namespace.cloned(),
        };
        self.object = object;
        self.send(&ask)?;
        let line = self.answers.recv_timeout(ANSWER).map_err(|error| match error {
            RecvTimeoutError::Timeout => "the policy took longer than it may and was stopped",
            RecvTimeoutError::Disconnected => "the policy took more memory than it may, or failed, and was stopped",
        })?;
        serde_json::from_str(&line).map_err(|_| "the process of the policy answered nothing that can be read")
    }
}

/// A policy that runs in the process of its tenant.
struct Isolated {
    control_id: String,
    /// Tells what it matches; never run here.
    inner: Box<dyn Policy>,
    host: Arc<Host>,
}

impl Policy for Isolated {
    fn id(&self) -> &str {
        self.inner.id()
    }

    fn review(&self, review: &Review<'_>) -> Decision {
        if !self.inner.looks_at(review) {
            return Decision::NotMatched;
        }
        self.host.review(&self.control_id, review)
    }

    fn may_match(&self, group: &str, kind: &str) -> bool {
        self.inner.may_match(group, kind)
    }

    fn needs(&self) -> Needs {
        self.inner.needs()
    }

    fn looks_at(&self, review: &Review<'_>) -> bool {
        self.inner.looks_at(review)
    }
}
