use rampart_content::{Control, Variant};
use rampart_domain::ConfigHash;

use crate::cel::{self, Names, Program, Reads, SyntaxError, Variable};
use crate::element::{self, Elements};
use crate::engine::{CompileProblem, Compiled, CompiledNeighbour, CompiledVariant};
use crate::pointer::{Pattern, Root};

/// Compiles a control, or adds what is wrong with it to `problems`.
pub(crate) fn control(control: &Control, version: ConfigHash, problems: &mut Vec<CompileProblem>) -> Option<Compiled> {
    let variants: Vec<Option<CompiledVariant>> = control
        .variants
        .iter()
        .enumerate()
        .map(|(index, variant)| Compiler { control, index, variant, problems }.variant())
        .collect();
    let variants: Vec<CompiledVariant> = variants.into_iter().collect::<Option<_>>()?;
    let mut kinds: Vec<_> = variants.iter().flat_map(|variant| variant.kinds.iter().copied()).collect();
    kinds.sort_unstable();
    Some(Compiled {
        id: control.id.clone(),
        severity: control.severity,
        version,
        kinds,
        parameters: control.parameters.clone(),
        variants,
        imported: None,
        custom: control.is_custom(),
    })
}

struct Compiler<'c> {
    control: &'c Control,
    /// Place of the variant in the control.
    index: usize,
    variant: &'c Variant,
    problems: &'c mut Vec<CompileProblem>,
}

/// What an expression may name.
struct VariantNames<'c> {
    control: &'c Control,
    variant: &'c Variant,
    element: bool,
    pod: bool,
    neighbours: bool,
    /// `let`s above, with what they read.
    lets: Vec<(&'c str, Reads)>,
}

impl Names for VariantNames<'_> {
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
        let index = self.variant.neighbours.get_index_of(name).filter(|_| self.neighbours)?;
        Some(index as u16)
    }

    fn parameter(&self, name: &str) -> bool {
        self.control.parameters.contains_key(name)
    }
}

const RESERVED: [&str; 11] =
    ["object", "resource", "pod", "template", "it", "level", "name", "params", "neighbours", "now", "optional"];

impl Compiler<'_> {
    fn refuse(&mut self, field: impl AsRef<str>, message: impl Into<String>) {
        self.refuse_at(field, None, message);
    }

    fn refuse_at(&mut self, field: impl AsRef<str>, position: Option<(usize, usize)>, message: impl Into<String>) {
        let (file, field) = (self.control.file(), self.control.field(self.index, field.as_ref()));
        self.problems.push(CompileProblem { file, field, position, message: message.into() });
    }

    fn expression(&mut self, field: impl AsRef<str>, source: &str, names: &VariantNames<'_>) -> Option<Program> {
        let compiled: Result<Program, SyntaxError> = cel::compile(source, names);
        let refuse = |error: SyntaxError| self.refuse_at(field, Some((error.line, error.column)), error.to_string());
        compiled.map_err(refuse).ok()
    }

    fn variant(&mut self) -> Option<CompiledVariant> {
        let (control, variant) = (self.control, self.variant);
        let before = self.problems.len();
        let kinds = variant.judged();
        let pod = kinds.iter().any(|kind| kind.is_workload());
        let sets = self.elements(pod);
        let element = !variant.for_each.is_empty();
        let mut names = VariantNames { control, variant, element, pod, neighbours: true, lets: Vec::new() };
        let lets = self.lets(&mut names);
        let violation = self.expression("violation", &variant.violation, &names);
        let message = self.expression("message", &variant.message, &names);
        let mut unknown = Vec::new();
        for (index, needs) in variant.unknown.iter().enumerate() {
            let program = self.expression(format!("unknown.{index}.if"), &needs.r#if, &names);
            unknown.extend(program.map(|program| (program, needs.needs.clone())));
        }
        // Whether a control applies is decided for the object as a whole.
        names.element = false;
        let mut not_applicable = Vec::new();
        for (index, guard) in variant.not_applicable.iter().enumerate() {
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
        Some(CompiledVariant {
            kinds,
            title: control.title.clone(),
            needs_pod: reads || sets.iter().any(Elements::needs_pod),
            only_containers: variant.for_each == ["containers"],
            live: variant.for_each.iter().any(|pattern| pattern == "containers"),
            sets,
            neighbours,
            lets,
            let_names: variant.r#let.keys().cloned().collect(),
            not_applicable,
            unknown,
            violation,
            message,
            evidence,
        })
    }

    fn elements(&mut self, pod: bool) -> Vec<Elements> {
        let mut sets = Vec::new();
        for (index, pattern) in self.variant.for_each.iter().enumerate() {
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

    fn lets<'c>(&mut self, names: &mut VariantNames<'c>) -> Vec<Program> {
        let mut lets = Vec::new();
        let variant: &'c Variant = names.variant;
        for (name, source) in &variant.r#let {
            if RESERVED.contains(&name.as_str()) {
                self.refuse(format!("let.{name}"), "is the name of a variable");
            }
            let program = self.expression(format!("let.{name}"), source, names);
            names.lets.push((name, program.as_ref().map_or(Reads::default(), |program| program.reads)));
            lets.extend(program);
        }
        lets
    }

    fn neighbours(&mut self, names: &VariantNames<'_>) -> Vec<CompiledNeighbour> {
        let mut compiled = Vec::new();
        for (label, neighbour) in &names.variant.neighbours {
            let name = neighbour.name.as_ref();
            let name = name.and_then(|source| self.expression(format!("neighbours.{label}.name"), source, names));
            compiled.push(CompiledNeighbour {
                label: label.clone(),
                kinds: neighbour.kinds.iter().flat_map(|selector| selector.kinds()).collect(),
                within: neighbour.r#in,
                name,
                through: neighbour.through,
                outline: neighbour.outline,
                complete: neighbour.complete,
            });
        }
        compiled
    }

    fn evidence(&mut self) -> Vec<Pattern> {
        let mut evidence = Vec::new();
        for (index, pointer) in self.variant.evidence.iter().enumerate() {
            match Pattern::parse(pointer, Root::Element) {
                // Without elements the object is the element.
                Ok(pattern) => evidence.push(pattern),
                Err(message) => self.refuse(format!("evidence.{index}"), message),
            }
        }
        evidence
    }
}
