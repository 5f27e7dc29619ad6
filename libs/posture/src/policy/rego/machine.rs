use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::RegoVM;
use regorus::rvm::program::Program;
use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, PolicyLengthConfig, Value};

use super::{Failure, Problem, builtins};

const ENTRY: &str = "data.template.violation";
/// Steps of the fast engine, after which the reference engine is asked.
const MAX_STEPS: usize = 200_000;
/// Time for one evaluation.
const MAX_TIME: Duration = Duration::from_secs(2);
/// Steps between two looks at the clock.
const STEPS_BETWEEN: u32 = 256;
/// Sources of this many bytes are left to the reference engine: the fast one takes too long to compile them.
const MAX_FAST_SOURCE: usize = 64 * 1024;
/// Bytes of a line, rewritten.
const MAX_COLUMN: u32 = 1 << 20;

/// Both engines, ready to run.
pub(super) struct Machine {
    reference: Engine,
    fast: Option<Fast>,
}

struct Fast {
    program: Arc<Program>,
    machine: RegoVM,
}

impl Clone for Machine {
    fn clone(&self) -> Self {
        let fast = self.fast.as_ref().and_then(|fast| Fast::new(Arc::clone(&fast.program)).ok());
        Self { reference: self.reference.clone(), fast }
    }
}

impl Fast {
    fn new(program: Arc<Program>) -> Result<Self, String> {
        let mut machine = RegoVM::new();
        machine.load_program(Arc::clone(&program));
        machine.set_data(Value::new_object()).map_err(|error| error.to_string())?;
        machine.set_max_instructions(MAX_STEPS);
        machine.set_execution_timer_config(Some(timer()));
        Ok(Self { program, machine })
    }
}

fn timer() -> ExecutionTimerConfig {
    ExecutionTimerConfig { limit: MAX_TIME, check_interval: NonZeroU32::new(STEPS_BETWEEN).unwrap_or(NonZeroU32::MIN) }
}

/// Reads modules, each as the newer Rego and where that fails as the older.
pub(super) fn parse(sources: &[String], declared_v1: bool) -> Result<Engine, Problem> {
    let mut engine = Engine::new();
    engine.set_strict_builtin_errors(false);
    let limits = PolicyLengthConfig {
        max_col: NonZeroU32::new(MAX_COLUMN).unwrap_or(NonZeroU32::MAX),
        max_lines: NonZeroUsize::MAX,
        ..PolicyLengthConfig::default()
    };
    engine.set_policy_length_config(limits);
    builtins::add(&mut engine).map_err(|message| Problem { module: 0, position: None, message })?;
    for (index, source) in sources.iter().enumerate() {
        let mut add = |older: bool| {
            engine.set_rego_v0(older);
            engine.add_policy(index.to_string(), source.clone()).map_err(|error| problem(&error.to_string()))
        };
        if let Err(newer) = add(false) {
            let is_newer = declared_v1 || source.contains("import rego.v1");
            add(true).map_err(|older| Problem { module: index, ..if is_newer { newer } else { older } })?;
        }
    }
    Ok(engine)
}

/// What the engine says of a source: `--> module:line:column`, and the error at the end.
fn problem(error: &str) -> Problem {
    let place = error.lines().find_map(|line| line.trim_start().strip_prefix("--> "));
    let numbers: Vec<usize> =
        place.into_iter().flat_map(|place| place.split(':')).filter_map(|part| part.parse().ok()).collect();
    let (module, position) = match numbers.as_slice() {
        [module, line, column] => (*module, Some((*line, *column))),
        _ => (0, None),
    };
    let message = error.rsplit_once("error: ").map_or(error, |(_, message)| message);
    Problem { module, position, message: message.trim().to_owned() }
}

impl Machine {
    /// Prepares the reference engine.
    pub(super) fn new(parsed: Engine) -> Result<Self, Problem> {
        let mut reference = parsed;
        reference.set_execution_timer_config(timer());
        reference.compile_with_entrypoint(&ENTRY.into()).map_err(|error| problem(&error.to_string()))?;
        Ok(Self { reference, fast: None })
    }

    /// Prepares the fast engine too, or says why it cannot be used.
    pub(super) fn add_fast(&mut self, sources: &[String], declared_v1: bool) -> Result<(), String> {
        if sources.iter().map(String::len).sum::<usize>() > MAX_FAST_SOURCE {
            return Err("the sources are long".to_owned());
        }
        let mut engine = parse(sources, declared_v1).map_err(|problem| problem.message)?;
        let policy = engine.compile_with_entrypoint(&ENTRY.into()).map_err(|error| error.to_string())?;
        let program = Compiler::compile_from_policy(&policy, &[ENTRY]).map_err(|error| error.to_string())?;
        self.fast = Some(Fast::new(program)?);
        Ok(())
    }

    /// Whether the fast engine is there and finds nothing. One that does not end, as it may where a query within a query
    /// fails, or that fails otherwise, is not asked again.
    pub(super) fn finds_nothing(&mut self, input: &Value) -> bool {
        let Some(fast) = &mut self.fast else { return false };
        fast.machine.set_input(input.clone());
        let found = fast.machine.execute();
        if found.is_err() {
            self.fast = None;
        }
        found.is_ok_and(|found| is_empty(&found))
    }

    /// What the reference engine finds.
    pub(super) fn violations(&mut self, input: &Value) -> Result<Value, Failure> {
        self.reference.set_input(input.clone());
        self.reference.eval_rule(ENTRY.to_owned()).map_err(|error| failure(&error.to_string()))
    }
}

fn is_empty(found: &Value) -> bool {
    match found {
        Value::Set(members) => members.is_empty(),
        Value::Array(members) => members.iter().next().is_none(),
        Value::Object(members) => members.is_empty(),
        _ => true,
    }
}

/// What an error of the reference engine means.
fn failure(error: &str) -> Failure {
    let message = problem(error).message;
    if message.contains("generated multiple times") {
        return Failure::Conflict("eval_conflict_error: object keys must be unique".to_owned());
    }
    if message.contains("multiple outputs") {
        return Failure::Conflict(format!("eval_conflict_error: {message}"));
    }
    if message.contains("time limit") {
        return Failure::Unknown(format!("the policy takes too long: {message}"));
    }
    Failure::Unknown(message)
}
