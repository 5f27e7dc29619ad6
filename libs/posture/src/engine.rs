use std::collections::{BTreeMap, BTreeSet, HashMap};

use indexmap::IndexMap;
use rampart_content::{Catalogue, Control, Parameter, Within};
use rampart_domain::{ConfigHash, Kind, Severity};

use crate::cel::{self, Names, Program, Reads, SyntaxError, Variable};
use crate::element::{self, Elements};
use crate::pointer::{Pattern, Root};

/// Every control of a catalogue, ready to judge. Immutable and shared between threads.
#[derive(Debug)]
pub struct Engine {
    pub(crate) controls: Vec<Compiled>,
    pub(crate) by_id: HashMap<String, usize>,
    /// The containers of a pod template: what most controls go through, so it is listed once per resource.
    pub(crate) containers: Vec<Elements>,
}

#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) severity: Severity,
    pub(crate) version: ConfigHash,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) parameters: IndexMap<String, Parameter>,
    pub(crate) sets: Vec<Elements>,
    /// Whether the elements are those of [`Engine::containers`], and nothing else.
    pub(crate) only_containers: bool,
    /// Whether live containers are elements too.
    pub(crate) live: bool,
    pub(crate) neighbours: Vec<CompiledNeighbour>,
    pub(crate) lets: Vec<Program>,
    /// Their names, for messages.
    pub(crate) let_names: Vec<String>,
    pub(crate) not_applicable: Vec<(Program, String)>,
    pub(crate) unknown: Vec<(Program, String)>,
    pub(crate) violation: Program,
    pub(crate) message: Program,
    pub(crate) evidence: Vec<Pattern>,
    /// Whether the pod template is looked at.
    pub(crate) needs_pod: bool,
}

#[derive(Debug)]
pub(crate) struct CompiledNeighbour {
    pub(crate) label: String,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) within: Within,
    pub(crate) name: Option<Program>,
    /// Whether it is the pod's service account and nothing else.
    pub(crate) of_account: bool,
    pub(crate) complete: bool,
}

/// How controls name the service account of a pod: who is judged by it, an edge of the graph tells.
const ACCOUNT_OF_POD: &str = "pod.?serviceAccountName.orValue(pod.?serviceAccount.orValue('default'))";

/// An expression or pattern that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileProblem {
    /// File of the control.
    pub file: String,
    /// Field in the file, such as `let.sc`.
    pub field: String,
    /// Line and column in the field and what is wrong there.
    pub message: String,
}

/// Controls that cannot be compiled; every problem, not the first one only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} expression(s) refused:\n{}", .problems.len(),
    .problems.iter().map(|p| format!("{}: {}: {}", p.file, p.field, p.message)).collect::<Vec<_>>().join("\n"))]
pub struct CompileError {
    /// What is wrong, by file.
    pub problems: Vec<CompileProblem>,
}

/// Who must be judged again when a resource of some kind changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependent<'e> {
    /// The control that looks at the changed kind.
    pub control_id: &'e str,
    /// Kinds that the control judges.
    pub judged: &'e [Kind],
    /// How far from the changed resource the judged ones may be.
    pub within: Within,
    /// Whether only those are judged by it that use it as their service account.
    pub of_account: bool,
}

impl Engine {
    /// Compiles every control of the catalogue.
    pub fn compile(catalogue: &Catalogue) -> Result<Self, CompileError> {
        Self::compile_some(catalogue, |_| true)
    }

    /// Compiles the controls of the catalogue that are `wanted`: a run over few of them needs no more.
    pub fn compile_some(catalogue: &Catalogue, wanted: impl Fn(&Control) -> bool) -> Result<Self, CompileError> {
        let mut problems = Vec::new();
        let mut engine = Self { controls: Vec::new(), by_id: HashMap::new(), containers: element::containers() };
        for control in catalogue.controls().filter(|control| wanted(control)) {
            let mut compiler = Compiler { control, problems: &mut problems };
            let Some(version) = catalogue.control_version(&control.id) else { continue };
            if let Some(compiled) = compiler.control(version) {
                engine.by_id.insert(compiled.id.clone(), engine.controls.len());
                engine.controls.push(compiled);
            }
        }
        if problems.is_empty() { Ok(engine) } else { Err(CompileError { problems }) }
    }

    /// The kinds that a control judges; empty for an unknown id.
    pub fn kinds(&self, control_id: &str) -> &[Kind] {
        self.by_id.get(control_id).map_or(&[], |index| &self.controls[*index].kinds)
    }

    /// Fingerprint of everything that can change a verdict of the control.
    pub fn version(&self, control_id: &str) -> Option<ConfigHash> {
        self.by_id.get(control_id).map(|index| self.controls[*index].version)
    }

    /// Which judged kinds must be looked at again when a resource of `kind` changes, appears, goes, or becomes readable
    /// or unreadable. Distance is symmetric: look around the changed resource.
    pub fn dependents(&self, kind: Kind) -> impl Iterator<Item = Dependent<'_>> {
        self.controls.iter().flat_map(move |control| {
            let looks = control.neighbours.iter().filter(|n| n.kinds.contains(&kind));
            let ways: BTreeSet<(Within, bool)> = looks.map(|n| (n.within, n.of_account)).collect();
            let (control_id, judged) = (&*control.id, &*control.kinds);
            ways.into_iter().map(move |(within, of_account)| Dependent { control_id, judged, within, of_account })
        })
    }

    /// The kinds that any control looks at as neighbours, with the distances they are looked at from.
    pub fn neighbour_kinds(&self) -> BTreeMap<Kind, BTreeSet<Within>> {
        let mut kinds: BTreeMap<Kind, BTreeSet<Within>> = BTreeMap::new();
        for neighbour in self.controls.iter().flat_map(|control| &control.neighbours) {
            for kind in &neighbour.kinds {
                kinds.entry(*kind).or_default().insert(neighbour.within);
            }
        }
        kinds
    }
}

struct Compiler<'c> {
    control: &'c Control,
    problems: &'c mut Vec<CompileProblem>,
}

/// What an expression may name.
struct ControlNames<'c> {
    control: &'c Control,
    element: bool,
    pod: bool,
    neighbours: bool,
    /// `let`s above, with what they read.
    lets: Vec<(&'c str, Reads)>,
}

impl Names for ControlNames<'_> {
    fn variable(&self, name: &str) -> Option<(Variable, Reads)> {
        let none = Reads::default();
        let element = Reads { element: true, ..none };
        let pod = Reads { pod: true, ..none };
        Some(match name {
            "object" => (Variable::Object, none),
            "params" => (Variable::Params, none),
            "now" => (Variable::Now, none),
            "pod" if self.pod => (Variable::Pod, pod),
            "template" if self.pod => (Variable::Template, pod),
            "it" if self.element => (Variable::It, element),
            "level" if self.element => (Variable::Level, element),
            "name" if self.element => (Variable::Name, element),
            _ => {
                let index = self.lets.iter().position(|(known, _)| *known == name)?;
                let reads = self.lets[index].1;
                let allowed = (self.element || !reads.element) && (self.neighbours || !reads.neighbours);
                return allowed.then_some((Variable::Let(index as u16), reads));
            }
        })
    }

    fn neighbour(&self, name: &str) -> Option<u16> {
        let index = self.control.neighbours.get_index_of(name).filter(|_| self.neighbours)?;
        Some(index as u16)
    }

    fn parameter(&self, name: &str) -> bool {
        self.control.parameters.contains_key(name)
    }
}

const RESERVED: [&str; 11] =
    ["object", "resource", "pod", "template", "it", "level", "name", "params", "neighbours", "now", "optional"];

impl Compiler<'_> {
    fn refuse(&mut self, field: impl Into<String>, message: impl Into<String>) {
        let (file, message) = (self.control.file(), message.into());
        self.problems.push(CompileProblem { file, field: field.into(), message });
    }

    fn expression(&mut self, field: impl Into<String>, source: &str, names: &ControlNames<'_>) -> Option<Program> {
        let compiled: Result<Program, SyntaxError> = cel::compile(source, names);
        compiled.map_err(|error| self.refuse(field, error.to_string())).ok()
    }

    fn control(&mut self, version: ConfigHash) -> Option<Compiled> {
        let control = self.control;
        let before = self.problems.len();
        let mut kinds: Vec<Kind> = control.kinds.iter().flat_map(|selector| selector.kinds()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let pod = kinds.iter().any(|kind| kind.is_workload());
        let sets = self.elements(pod);
        let element = !control.for_each.is_empty();
        let mut names = ControlNames { control, element, pod, neighbours: true, lets: Vec::new() };
        let lets = self.lets(&mut names);
        let violation = self.expression("violation", &control.violation, &names);
        let message = self.expression("message", &control.message, &names);
        let mut unknown = Vec::new();
        for (index, needs) in control.unknown.iter().enumerate() {
            let program = self.expression(format!("unknown.{index}.if"), &needs.r#if, &names);
            unknown.extend(program.map(|program| (program, needs.needs.clone())));
        }
        // Whether a control applies is decided for the object as a whole.
        names.element = false;
        let mut not_applicable = Vec::new();
        for (index, guard) in control.not_applicable.iter().enumerate() {
            let program = self.expression(format!("not_applicable.{index}.if"), &guard.r#if, &names);
            not_applicable.extend(program.map(|program| (program, guard.cause.clone())));
        }
        names.neighbours = false;
        let neighbours = self.neighbours(&names);
        let evidence = self.evidence();
        if self.problems.len() > before {
            return None;
        }
        let (violation, message) = (violation?, message?);
        let reads = unknown.iter().map(|(program, _)| program).chain([&violation]).any(|program| program.reads.pod);
        Some(Compiled {
            id: control.id.clone(),
            title: control.title.clone(),
            severity: control.severity,
            version,
            kinds,
            parameters: control.parameters.clone(),
            needs_pod: reads || sets.iter().any(Elements::needs_pod),
            only_containers: control.for_each == ["containers"],
            live: control.for_each.iter().any(|pattern| pattern == "containers"),
            sets,
            neighbours,
            lets,
            let_names: control.r#let.keys().cloned().collect(),
            not_applicable,
            unknown,
            violation,
            message,
            evidence,
        })
    }

    fn elements(&mut self, pod: bool) -> Vec<Elements> {
        let control = self.control;
        let mut sets = Vec::new();
        for (index, pattern) in control.for_each.iter().enumerate() {
            match element::parse(pattern) {
                Ok(found) if !pod && found.iter().any(Elements::needs_pod) => {
                    self.refuse(format!("for_each.{index}"), "none of the kinds has a pod template");
                }
                Ok(found) => sets.extend(found),
                Err(message) => self.refuse(format!("for_each.{index}"), message),
            }
        }
        sets
    }

    fn lets(&mut self, names: &mut ControlNames<'_>) -> Vec<Program> {
        let mut lets = Vec::new();
        for (name, source) in &names.control.r#let {
            if RESERVED.contains(&name.as_str()) {
                self.refuse(format!("let.{name}"), "is the name of a variable");
            }
            let program = self.expression(format!("let.{name}"), source, names);
            names.lets.push((name, program.as_ref().map_or(Reads::default(), |program| program.reads)));
            lets.extend(program);
        }
        lets
    }

    fn neighbours(&mut self, names: &ControlNames<'_>) -> Vec<CompiledNeighbour> {
        let mut compiled = Vec::new();
        for (label, neighbour) in &names.control.neighbours {
            let name = neighbour.name.as_ref();
            let name = name.and_then(|source| self.expression(format!("neighbours.{label}.name"), source, names));
            compiled.push(CompiledNeighbour {
                label: label.clone(),
                kinds: neighbour.kinds.iter().flat_map(|selector| selector.kinds()).collect(),
                within: neighbour.r#in,
                name,
                of_account: neighbour.r#in == Within::Namespace && neighbour.name.as_deref() == Some(ACCOUNT_OF_POD),
                complete: neighbour.complete,
            });
        }
        compiled
    }

    fn evidence(&mut self) -> Vec<Pattern> {
        let control = self.control;
        let mut evidence = Vec::new();
        for (index, pointer) in control.evidence.iter().enumerate() {
            match Pattern::parse(pointer, Root::Element) {
                // Without elements the object is the element.
                Ok(pattern) => evidence.push(pattern),
                Err(message) => self.refuse(format!("evidence.{index}"), message),
            }
        }
        evidence
    }
}
