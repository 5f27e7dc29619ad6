use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use indexmap::IndexMap;
use rampart_content::{Catalogue, Control, Parameter, Through, Within};
use rampart_domain::{ConfigHash, Kind, Severity};

use crate::cel::{self, Program};
use crate::compile;
use crate::element::{self, Elements};
use crate::imported::Imported;
use crate::pointer::Pattern;

/// Every control of a catalogue, ready to judge. Immutable and shared between threads; copies share what was compiled.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) controls: Vec<Arc<Compiled>>,
    pub(crate) by_id: HashMap<String, usize>,
    /// The containers of a pod template: what most controls go through, so it is listed once per resource.
    pub(crate) containers: Arc<Vec<Elements>>,
}

#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) id: String,
    pub(crate) severity: Severity,
    pub(crate) version: ConfigHash,
    /// What the variants judge together; sorted, each once.
    pub(crate) kinds: Vec<Kind>,
    pub(crate) parameters: IndexMap<String, Parameter>,
    /// At least one, no two for one kind; none for a policy in another format.
    pub(crate) variants: Vec<CompiledVariant>,
    /// The policy in another format that the control stands for.
    pub(crate) imported: Option<Imported>,
    /// Whether a customer wrote it: its evaluation is metered.
    pub(crate) custom: bool,
}

impl Compiled {
    /// The variant for resources of `kind`; the first one for kinds that the control does not judge.
    pub(crate) fn variant(&self, kind: Kind) -> &CompiledVariant {
        match &*self.variants {
            [only] => only,
            several => several.iter().find(|variant| variant.kinds.contains(&kind)).unwrap_or(&several[0]),
        }
    }
}

/// A condition, and what it needs and says.
#[derive(Debug)]
pub(crate) struct CompiledVariant {
    pub(crate) kinds: Vec<Kind>,
    /// What the control is called: the message where its own cannot be had.
    pub(crate) title: String,
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
    pub(crate) through: Option<Through>,
    pub(crate) outline: bool,
    pub(crate) complete: bool,
}

/// An expression or pattern that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileProblem {
    /// File of the control.
    pub file: String,
    /// Field in the file, such as `let.sc`.
    pub field: String,
    /// Line and column in the text of the field, from 1, where an expression is wrong.
    pub position: Option<(usize, usize)>,
    /// What is wrong there, with the position.
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
    /// Kinds that the control judges by looking at it.
    pub judged: &'e [Kind],
    /// How far from the changed resource the judged ones may be.
    pub within: Within,
    /// By way of what they are judged by it; `None` for whatever lies near enough.
    pub through: Option<Through>,
    /// Whether only the outline of what changed is looked at.
    pub outline: bool,
}

impl Engine {
    /// Compiles every control of the catalogue.
    pub fn compile(catalogue: &Catalogue) -> Result<Self, CompileError> {
        Self::compile_some(catalogue, |_| true)
    }

    /// Compiles the controls of the catalogue that are `wanted`: a run over few of them needs no more.
    pub fn compile_some(catalogue: &Catalogue, wanted: impl Fn(&Control) -> bool + Sync) -> Result<Self, CompileError> {
        // One thread with a deep stack for all expressions.
        let compiled = cel::on_deep_stack(|| Self::compile_all(catalogue, &wanted));
        compiled.unwrap_or_else(|message| {
            let nowhere = CompileProblem { file: String::new(), field: String::new(), message, position: None };
            Err(CompileError { problems: vec![nowhere] })
        })
    }

    fn compile_all(catalogue: &Catalogue, wanted: &dyn Fn(&Control) -> bool) -> Result<Self, CompileError> {
        let mut problems = Vec::new();
        let containers = Arc::new(element::containers());
        let mut engine = Self { controls: Vec::new(), by_id: HashMap::new(), containers };
        for control in catalogue.controls().filter(|control| wanted(control)) {
            let Some(version) = catalogue.control_version(&control.id) else { continue };
            if let Some(compiled) = compile::control(control, version, &mut problems) {
                engine.add(compiled);
            }
        }
        if problems.is_empty() { Ok(engine) } else { Err(CompileError { problems }) }
    }

    /// An engine with one control.
    pub(crate) fn of(compiled: Compiled) -> Self {
        let containers = Arc::new(element::containers());
        let mut engine = Self { controls: Vec::new(), by_id: HashMap::new(), containers };
        engine.add(compiled);
        engine
    }

    /// Adds a control, unless its id is taken.
    pub(crate) fn add(&mut self, compiled: Compiled) {
        if !self.by_id.contains_key(&compiled.id) {
            self.by_id.insert(compiled.id.clone(), self.controls.len());
            self.controls.push(Arc::new(compiled));
        }
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
        self.looks().flat_map(move |(control_id, judged, neighbours)| {
            let looks = neighbours.iter().filter(|n| n.kinds.contains(&kind));
            let ways: BTreeSet<_> = looks.map(|n| (n.within, n.through, n.outline)).collect();
            ways.into_iter().map(move |(within, through, outline)| Dependent {
                control_id,
                judged,
                within,
                through,
                outline,
            })
        })
    }

    /// The kinds that any control looks at as neighbours, with the distances they are looked at from.
    pub fn neighbour_kinds(&self) -> BTreeMap<Kind, BTreeSet<Within>> {
        let mut kinds: BTreeMap<Kind, BTreeSet<Within>> = BTreeMap::new();
        for neighbour in self.looks().flat_map(|(_, _, neighbours)| neighbours) {
            for kind in &neighbour.kinds {
                kinds.entry(*kind).or_default().insert(neighbour.within);
            }
        }
        kinds
    }

    /// What looks at neighbours: control, kinds that it judges by them, neighbours.
    fn looks(&self) -> impl Iterator<Item = (&str, &[Kind], &[CompiledNeighbour])> {
        self.controls.iter().flat_map(|control| {
            let variants = control.variants.iter().map(|it| (&*control.id, &*it.kinds, &*it.neighbours));
            let imported = control.imported.iter().map(|it| (&*control.id, &*control.kinds, it.neighbours()));
            variants.chain(imported)
        })
    }
}
