//! Rego, judged as Gatekeeper's engine judges it.
//!
//! ```text
//! sources ──checks──> rewritten sources ──compile──> reference engine, fast engine
//! input ──fast──> nothing found? that is the answer : ──reference──> violations
//! ```
//!
//! The fast engine only ever says that there is nothing: what it finds is worked out again by the reference engine, which
//! also has the exact texts. Templates for which it could miss something go to the reference engine alone.

mod builtins;
mod checks;
mod edits;
mod expression;
mod format;
mod glob;
mod kinds;
mod lenient;
mod lexer;
mod machine;
mod module;
mod names;
mod negation;
mod operations;
mod operators;
mod patterns;
mod rewrite;
mod risk;
mod value;

use std::collections::BTreeSet;
use std::sync::Mutex;

use checks::Unit;
use edits::Edits;
use machine::Machine;
use names::INVENTORY;
use regorus::Value;
pub(super) use value::{TooDeep, convert, object, to_json};

/// Bytes of all sources of a template together.
const MAX_SOURCE: usize = 128 * 1024;
/// Nesting of brackets: the engine's work to read them doubles with each.
const MAX_NESTING: usize = 14;
/// Rules in a chain of calls: each takes stack.
const MAX_CALLS: usize = 32;
/// Collections that one rule may go through: each takes stack.
const MAX_LOOPS: usize = 100;
/// Assignments in one rule: the work to put them in order grows with their square.
const MAX_ASSIGNMENTS: usize = 300;
/// Calls and loops open at once for which any stack is large enough.
const MAX_OPEN: usize = 32;
/// The stack of what needs more.
const DEEP_STACK: usize = 256 * 1024 * 1024;
/// Where the rewritten main module stands.
const PACKAGE: &str = "template";

/// How a template is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// By the fast engine where that is safe, and by the reference engine for what it finds.
    #[default]
    Fast,
    /// By the reference engine.
    Reference,
}

/// Rego sources of one template.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sources<'a> {
    /// The module with the rule `violation`.
    pub(super) main: &'a str,
    /// Modules that it imports.
    pub(super) libraries: &'a [String],
    /// Whether the template says that they are Rego v1.
    pub(super) declared_v1: bool,
}

/// Why sources cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// 0 is the main module, others are libraries.
    pub(super) module: usize,
    /// Line and column in the module as written, from 1.
    pub(super) position: Option<(usize, usize)>,
    /// What is wrong.
    pub(super) message: String,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Definitions contradict one another: Gatekeeper reports that as a violation.
    Conflict(String),
    /// A budget ran out, or something else that Gatekeeper has no part in.
    Unknown(String),
}

/// One thing found: message and details.
pub(super) type Finding = (String, Option<serde_json::Value>);

/// A compiled template. Machines are kept for the next evaluation, one per thread that is at work at once.
pub(super) struct Program {
    blueprint: Machine,
    idle: Mutex<Vec<Machine>>,
    /// Whether it looks at other objects.
    pub(super) uses_inventory: bool,
    /// Whether it needs a stack of its own.
    is_deep: bool,
    /// Why only the reference engine is used.
    pub(super) slow: Option<String>,
    /// Whether it has patterns that only evaluation tells.
    works_patterns_out: bool,
}

impl Program {
    /// Checks and compiles sources.
    pub(super) fn compile(sources: &Sources<'_>) -> Result<Self, Problem> {
        let all: Vec<&str> =
            std::iter::once(sources.main).chain(sources.libraries.iter().map(String::as_str)).collect();
        if all.iter().map(|source| source.len()).sum::<usize>() > MAX_SOURCE {
            let message = format!("the sources are larger than {} KiB", MAX_SOURCE / 1024);
            return Err(Problem { module: 0, position: None, message });
        }
        let mut units = Vec::new();
        for (index, source) in all.iter().enumerate() {
            units.push(Unit::read(source).map_err(|problem| Problem { module: index, ..problem })?);
        }
        // What the parser cannot read is told before what the checks find in it.
        let (edits, texts) = rewrite(&units, false);
        let parsed = machine::parse(&texts, sources.declared_v1).map_err(|problem| restore(&units, &edits, problem))?;
        let is_deep = checks::check(&units)? > MAX_OPEN;
        let slow = units.iter().find_map(risk::of).or_else(|| is_deep.then(|| "calls and loops lie deep".to_owned()));
        let (unapplied, guarded) = rewrite(&units, true);
        let lost = unapplied.iter().any(|edits| edits.lost).then(|| "a change lies within another".to_owned());
        let slow = slow.or(lost);
        let mut blueprint = Machine::new(parsed).map_err(|problem| restore(&units, &edits, problem))?;
        let lenient: Vec<String> = texts.iter().map(|text| lenient::rewrite(text)).collect();
        if lenient != texts
            && let Ok(machine) = machine::parse(&lenient, sources.declared_v1).and_then(Machine::new)
        {
            blueprint = machine;
        }
        let slow = match slow {
            Some(reason) => Some(reason),
            None => blueprint.add_fast(&guarded, sources.declared_v1).err(),
        };
        let uses_inventory = texts.iter().any(|text| text.contains(INVENTORY));
        let works_patterns_out = units.iter().any(|unit| patterns::are_worked_out(&unit.tokens));
        Ok(Self { blueprint, idle: Mutex::default(), uses_inventory, is_deep, slow, works_patterns_out })
    }

    /// Evaluates an input.
    pub(super) fn evaluate(&self, input: &Value, mode: Mode) -> Result<Vec<Finding>, Failure> {
        if !self.is_deep {
            return self.run(input, mode);
        }
        let failed = || Failure::Unknown("there is no room for the policy's stack".to_owned());
        std::thread::scope(|scope| {
            let builder = std::thread::Builder::new().stack_size(DEEP_STACK);
            let thread = builder.spawn_scoped(scope, || self.run(input, mode)).map_err(|_| failed())?;
            thread.join().map_err(|_| failed())?
        })
    }

    fn run(&self, input: &Value, mode: Mode) -> Result<Vec<Finding>, Failure> {
        let idle = self.idle.lock().ok().and_then(|mut idle| idle.pop());
        let mut machine = idle.unwrap_or_else(|| self.blueprint.clone());
        let fast = mode == Mode::Fast && !(self.works_patterns_out && patterns::may_differ(input));
        let nothing = fast && machine.finds_nothing(input);
        let found = if nothing { Ok(Vec::new()) } else { machine.violations(input).and_then(|found| findings(&found)) };
        if let Ok(mut idle) = self.idle.lock() {
            idle.push(machine);
        }
        found
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program")
            .field("uses_inventory", &self.uses_inventory)
            .field("slow", &self.slow)
            .finish_non_exhaustive()
    }
}

/// The changed sources, with what was changed.
fn rewrite(units: &[Unit<'_>], guarded: bool) -> (Vec<Edits>, Vec<String>) {
    let mut all = Vec::new();
    let mut texts = Vec::new();
    for (index, unit) in units.iter().enumerate() {
        let mut edits = rewrite::portable(&unit.tokens, &unit.module, (index == 0).then_some(PACKAGE));
        if guarded {
            rewrite::guards(&unit.tokens, &unit.module, &mut edits);
        }
        texts.push(edits.apply(unit.tokens.source));
        all.push(edits);
    }
    (all, texts)
}

/// Tells a problem's place in the source as written.
fn restore(units: &[Unit<'_>], edits: &[Edits], problem: Problem) -> Problem {
    let position =
        problem.position.map(|(line, column)| match (units.get(problem.module), edits.get(problem.module)) {
            (Some(unit), Some(edits)) => (line, edits.column(unit.tokens.source, line, column)),
            _ => (line, column),
        });
    Problem { position, ..problem }
}

/// The members of `violation` that have a message, each once, in the order of their details and messages. Those of an
/// object are its keys.
fn findings(found: &Value) -> Result<Vec<Finding>, Failure> {
    let members: Vec<&Value> = match found {
        Value::Set(members) => members.iter_sorted().collect(),
        Value::Array(members) => members.iter().collect(),
        Value::Object(members) => members.iter_sorted().map(|(key, _)| key).collect(),
        _ => Vec::new(),
    };
    let (message, details) = (Value::from("msg"), Value::from("details"));
    let mut distinct = BTreeSet::new();
    for member in members {
        let Value::Object(fields) = member else { continue };
        let Some(message) = fields.get(&message) else { continue };
        let Value::String(message) = message else {
            return Err(Failure::Unknown(format!("the message of a violation is not a string: {message}")));
        };
        let details = fields.get(&details).cloned().unwrap_or_else(Value::new_object);
        distinct.insert((details, message.clone()));
    }
    let details = |details: &Value| (*details != Value::new_object()).then(|| to_json(details));
    Ok(distinct.iter().map(|(given, message)| (message.to_string(), details(given))).collect())
}
