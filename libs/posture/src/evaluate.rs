use std::fmt::Write;

use rampart_domain::{Evidence, UnknownReason, Verdict};
use serde_json::{Map, Value};

use crate::cel::{ErrorKind, EvalError, Program, Run, Variables};
use crate::check::{Check, CheckSet};
use crate::element::{Element, Elements, Origin, collect_live};
use crate::engine::{CompiledNeighbour, CompiledVariant, Engine};
use crate::evidence;
use crate::input::{Completeness, Input, NeighbourItem, NeighbourQuery, NeighbourSet};

/// Steps that one control may take on one resource: some milliseconds, far above what any built-in control needs.
const STEPS: u32 = 1_000_000;
/// Steps that a customer's control may take on one resource.
const CUSTOM_STEPS: u32 = 200_000;

/// Watches over what customers wrote, which must not take time from everybody else.
pub trait Meter {
    /// Whether a check may run now; the reason where it may not.
    fn begin(&mut self, check: &Check) -> Result<(), String>;

    /// It has run.
    fn end(&mut self, check: &Check);
}

/// For those who judge nobody's resources but their own.
struct Unmetered;

impl Meter for Unmetered {
    fn begin(&mut self, _: &Check) -> Result<(), String> {
        Ok(())
    }

    fn end(&mut self, _: &Check) {}
}

/// What is worked out once per resource.
pub(crate) struct Subject<'a> {
    input: &'a Input<'a>,
    pub(crate) pod: Option<&'a Value>,
    pub(crate) template: &'a Value,
    /// The containers of the template and of live pods.
    containers: Vec<Element<'a>>,
}

impl Engine {
    /// Judges a resource by every check of its kind, handing each verdict to `emit`.
    pub fn evaluate<'c>(&self, checks: &'c CheckSet, input: &Input<'_>, emit: impl FnMut(&'c Check, Verdict)) {
        self.evaluate_metered(checks, input, &mut Unmetered, emit);
    }

    /// As [`Engine::evaluate`], with a meter on the checks that a customer wrote.
    pub fn evaluate_metered<'c>(
        &self,
        checks: &'c CheckSet,
        input: &Input<'_>,
        meter: &mut dyn Meter,
        mut emit: impl FnMut(&'c Check, Verdict),
    ) {
        let empty = Value::Object(Map::new());
        let subject = Subject::of(input, &empty, &self.containers);
        for check in checks.of(input.facts.kind) {
            if !self.controls[check.control].custom {
                emit(check, self.judge_subject(check, &subject));
                continue;
            }
            match meter.begin(check) {
                Ok(()) => {
                    let verdict = self.judge_subject(check, &subject);
                    meter.end(check);
                    emit(check, verdict);
                }
                Err(message) => emit(check, Verdict::Unknown(UnknownReason::Error { message })),
            }
        }
    }

    /// Judges a resource by one check. The check need not be meant for the resource's kind.
    pub fn judge(&self, check: &Check, input: &Input<'_>) -> Verdict {
        let empty = Value::Object(Map::new());
        self.judge_subject(check, &Subject::of(input, &empty, &self.containers))
    }

    /// JSON pointers of what violates a check: the elements, or `""` for the object as a whole. A remediation patch
    /// belongs at each of them. What violates only in live pods is not in the configuration, so not here either.
    pub fn violating(&self, check: &Check, input: &Input<'_>) -> Vec<String> {
        let empty = Value::Object(Map::new());
        let subject = Subject::of(input, &empty, &self.containers);
        if self.controls[check.control].imported.is_some() {
            let is_violated = matches!(self.judge_subject(check, &subject), Verdict::Unhealthy(_));
            return if is_violated { vec![String::new()] } else { Vec::new() };
        }
        let variant = self.variant(check, &subject);
        let mut pointers = Vec::new();
        let verdict = judge(variant, check, self.steps(check), &subject, &mut |element| match element
            .map(|element| element.origin)
        {
            None => pointers.push(String::new()),
            Some(Origin::Template { set, index }) => {
                pointers.push(variant.sets[set].pointer(index, subject.input, subject.pod));
            }
            Some(Origin::Live { .. }) => {}
        });
        if matches!(verdict, Verdict::Unhealthy(_)) { pointers } else { Vec::new() }
    }

    fn judge_subject(&self, check: &Check, subject: &Subject<'_>) -> Verdict {
        match &self.controls[check.control].imported {
            Some(imported) => imported.judge(subject.input),
            None => judge(self.variant(check, subject), check, self.steps(check), subject, &mut |_| {}),
        }
    }

    fn steps(&self, check: &Check) -> u32 {
        if self.controls[check.control].custom { CUSTOM_STEPS } else { STEPS }
    }

    fn variant(&self, check: &Check, subject: &Subject<'_>) -> &CompiledVariant {
        self.controls[check.control].variant(subject.input.facts.kind)
    }
}

impl<'a> Subject<'a> {
    pub(crate) fn of(input: &'a Input<'a>, empty: &'a Value, sets: &[Elements]) -> Self {
        let pointer = input.facts.kind.pod_spec_pointer();
        let pod = pointer.and_then(|pointer| input.config.pointer(pointer));
        let template = pointer.and_then(|pointer| pointer.strip_suffix("/spec"));
        let template = template.and_then(|pointer| input.config.pointer(pointer)?.get("metadata"));
        let mut containers = Vec::new();
        if input.facts.kind.is_workload() {
            sets.iter().enumerate().for_each(|(index, set)| set.collect(index, input, pod, &mut containers));
            if let Some(live) = input.live {
                collect_live(live, &mut containers);
            }
        }
        Self { input, pod, template: template.unwrap_or(empty), containers }
    }

    fn has_live(&self) -> bool {
        self.input.live.and_then(Value::as_array).is_some_and(|live| !live.is_empty())
    }
}

/// The neighbours of one variant, fetched once.
pub(crate) struct Fetched<'a> {
    sets: Vec<NeighbourSet<'a>>,
}

impl<'a> Fetched<'a> {
    pub(crate) fn lists(&'a self, variant: &CompiledVariant) -> Vec<Option<&'a [NeighbourItem<'a>]>> {
        let known = |(set, neighbour): (&'a NeighbourSet<'a>, &CompiledNeighbour)| {
            let usable = set.completeness == Completeness::Complete || !neighbour.complete;
            usable.then_some(&*set.items)
        };
        self.sets.iter().zip(&variant.neighbours).map(known).collect()
    }
}

fn judge<'a>(
    variant: &'a CompiledVariant,
    check: &'a Check,
    steps: u32,
    subject: &'a Subject<'a>,
    violates: &mut dyn FnMut(Option<&Element<'_>>),
) -> Verdict {
    let input = subject.input;
    let variables = |neighbours| Variables {
        object: input.config,
        pod: subject.pod,
        template: subject.template,
        facts: &input.facts,
        params: &check.params,
        now: input.now,
        neighbours,
        lets: &variant.lets,
        it: None,
    };
    let fetched = match fetch(variant, input, || Run::new(variables(&[]), steps)) {
        Ok(fetched) => fetched,
        Err((error, program)) => return unknown(variant, error, program, &[]),
    };
    let lists = fetched.lists(variant);
    let mut judge = Judge { variant, subject, fetched: &fetched, run: Run::new(variables(&lists), steps) };
    judge.verdict(violates)
}

pub(crate) type Failed<'a> = (EvalError, &'a Program);

pub(crate) fn fetch<'a>(
    variant: &'a CompiledVariant,
    input: &'a Input<'a>,
    run: impl Fn() -> Run<'a>,
) -> Result<Fetched<'a>, Failed<'a>> {
    let mut sets = Vec::with_capacity(variant.neighbours.len());
    for neighbour in &variant.neighbours {
        let name = match &neighbour.name {
            Some(program) => Some(run().value(program).map_err(|error| (error, program))?),
            None => None,
        };
        // A name that is no text names nothing that exists; the store would find nothing either.
        let name = name.as_ref().map(|name| name.as_str().unwrap_or_default());
        let CompiledNeighbour { label, kinds, within, outline, .. } = neighbour;
        let query = NeighbourQuery { label, kinds, within: *within, name, outline: *outline };
        sets.push(input.neighbours.get(&query));
    }
    Ok(Fetched { sets })
}

fn unknown(variant: &CompiledVariant, error: EvalError, program: &Program, sets: &[NeighbourSet<'_>]) -> Verdict {
    if let ErrorKind::Unread(index) = error.kind
        && let Some(unread) = sets.get(usize::from(index))
    {
        // Another list that the control needs may be why it cannot be decided any more.
        let needed = sets.iter().zip(&variant.neighbours).filter(|(_, neighbour)| neighbour.complete);
        let missing = needed.fold(unread.completeness, |missing, (set, _)| missing.and(set.completeness));
        if let Completeness::Incomplete { kind, state, expired } = missing {
            return Verdict::Unknown(UnknownReason::Unread { kind, state, expired });
        }
    }
    let message = match error.in_let.checked_sub(1).map(usize::from) {
        Some(index) => format!("{}: {}", variant.let_names[index], error.render(&variant.lets[index].source)),
        None => error.render(&program.source),
    };
    Verdict::Unknown(UnknownReason::Error { message })
}

/// A workload whose template was never seen cannot be judged by it.
fn no_template() -> Verdict {
    Verdict::Unknown(UnknownReason::Undetermined { needs: "the pod template".into() })
}

struct Judge<'a> {
    variant: &'a CompiledVariant,
    subject: &'a Subject<'a>,
    fetched: &'a Fetched<'a>,
    run: Run<'a>,
}

impl<'a> Judge<'a> {
    fn verdict(&mut self, violates: &mut dyn FnMut(Option<&Element<'_>>)) -> Verdict {
        for (condition, cause) in &self.variant.not_applicable {
            match self.run.holds(condition) {
                Ok(false) => {}
                Ok(true) => return Verdict::NotApplicable(cause.clone()),
                Err(error) => return self.unknown(error, condition),
            }
        }
        let blind = self.variant.needs_pod && self.subject.pod.is_none();
        if blind && !(self.variant.live && self.subject.has_live()) {
            return no_template();
        }
        if self.variant.sets.is_empty() {
            return match self.element() {
                Err(verdict) => verdict,
                Ok(None) => Verdict::Healthy,
                Ok(Some(evidence)) => {
                    violates(None);
                    Verdict::Unhealthy(evidence)
                }
            };
        }
        self.elements(blind, violates)
    }

    fn elements(&mut self, blind: bool, violates: &mut dyn FnMut(Option<&Element<'_>>)) -> Verdict {
        let input = self.subject.input;
        let mut own = Vec::new();
        let elements = if self.variant.only_containers {
            &self.subject.containers
        } else {
            for (index, set) in self.variant.sets.iter().enumerate() {
                set.collect(index, input, self.subject.pod, &mut own);
            }
            if let Some(live) = input.live.filter(|_| self.variant.live) {
                collect_live(live, &mut own);
            }
            &own
        };
        let mut found: Option<Evidence> = None;
        let mut violating = 0_usize;
        let mut first_unknown = blind.then(no_template);
        for element in elements {
            self.run.set_element((element.value, element.level, element.name.clone()));
            match self.element_of(Some(element)) {
                Ok(None) => {}
                Err(verdict) => {
                    first_unknown.get_or_insert(verdict);
                }
                Ok(Some(evidence)) => {
                    violates(Some(element));
                    violating += 1;
                    match &mut found {
                        Some(found) => evidence::merge(found, evidence),
                        None => found = Some(evidence),
                    }
                }
            }
        }
        match (found, first_unknown) {
            (Some(mut evidence), _) => {
                if violating > 1 {
                    // Writing to a string cannot fail.
                    let _ = write!(evidence.message, " and {} more", violating - 1);
                }
                Verdict::Unhealthy(evidence)
            }
            (None, Some(verdict)) => verdict,
            (None, None) => Verdict::Healthy,
        }
    }

    fn element(&self) -> Result<Option<Evidence>, Verdict> {
        self.element_of(None)
    }

    /// Judges one element, or the object: evidence of a violation, or the verdict that takes its place.
    fn element_of(&self, element: Option<&Element<'a>>) -> Result<Option<Evidence>, Verdict> {
        for (condition, needs) in &self.variant.unknown {
            if self.run.holds(condition).map_err(|error| self.unknown(error, condition))? {
                return Err(Verdict::Unknown(UnknownReason::Undetermined { needs: needs.clone() }));
            }
        }
        let violation = &self.variant.violation;
        if !self.run.holds(violation).map_err(|error| self.unknown(error, violation))? {
            return Ok(None);
        }
        // The violation stands even when its sentence fails: the title says what is wrong.
        let message = self.run.value(&self.variant.message).ok();
        let message = message.as_ref().and_then(|text| text.as_str()).unwrap_or(&self.variant.title).to_owned();
        let facts = evidence::facts(self.variant, self.subject.input, self.subject.pod, element);
        let elements = element.map(|element| evidence::name(self.variant, element)).into_iter().collect();
        Ok(Some(Evidence { message, facts, elements }))
    }

    fn unknown(&self, error: EvalError, program: &Program) -> Verdict {
        if program.reads.pod && self.subject.pod.is_none() && error.kind == ErrorKind::NoSuchKey {
            return no_template();
        }
        unknown(self.variant, error, program, &self.fetched.sets)
    }
}
