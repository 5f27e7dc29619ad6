//! What customers write: controls of their own and policies in other formats, laid over the product's catalogue and
//! engine. Both stay shared; a layer holds only what is the customer's.

use std::sync::Arc;

use rampart_content::{Catalogue, Control, Documents, SourceProblem, pointer_of};
use rampart_domain::{ConfigHash, hash_json};
use serde_json::json;

use crate::compile;
use crate::engine::{Compiled, Engine};
use crate::imported::Imported;
use crate::policy::{Policy, bundle};

/// Longest source of a control in bytes.
pub const MAX_CONTROL: usize = 64 << 10;
/// Longest source of a bundle of policies in bytes.
pub const MAX_POLICIES: usize = 256 << 10;
/// Policies that one bundle may switch on.
pub const MAX_IN_BUNDLE: usize = 100;

/// What a source holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// One control, in the format of the built-in ones.
    Control,
    /// Policies with their constraints, bindings and parameters.
    Policies,
}

/// A source as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What it holds.
    pub format: Format,
    /// Name of the bundle; the id of a control stands in its text.
    pub name: String,
    /// The text.
    pub text: String,
}

/// A source that was read: what it adds to catalogue and engine.
pub struct Layer {
    controls: Vec<(Control, ConfigHash)>,
    policies: Vec<(Control, ConfigHash, Box<dyn Policy>)>,
}

impl Source {
    /// Reads and compiles the source.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn read(&self, catalogue: &Catalogue) -> Result<Layer, Vec<SourceProblem>> {
        let longest = match self.format {
            Format::Control => MAX_CONTROL,
            Format::Policies => MAX_POLICIES,
        };
        if self.text.len() > longest {
            return Err(vec![whole(format!("is longer than {} KiB", longest >> 10))]);
        }
        match self.format {
            Format::Control => {
                let control = control(catalogue, &self.text)?;
                // Severity and group are the customer's to change at any time, and count at once.
                let hash = hash_json(&json!([control.fingerprint().to_string(), control.severity, control.group]));
                Ok(Layer { controls: vec![(control, hash)], policies: Vec::new() })
            }
            Format::Policies => self.policies(catalogue),
        }
    }

    fn policies(&self, catalogue: &Catalogue) -> Result<Layer, Vec<SourceProblem>> {
        let found = bundle::load(&self.name, &self.text)?;
        if found.len() > MAX_IN_BUNDLE {
            return Err(vec![whole(format!("switches on more than {MAX_IN_BUNDLE} policies"))]);
        }
        if let Some(other) = found.iter().find(|it| catalogue.group(&it.control.group).is_none()) {
            return Err(vec![whole(format!(
                "{}: there is no score group `{}`",
                other.policy.id(),
                other.control.group
            ))]);
        }
        let text = hash_json(&json!(self.text));
        let policies = found.into_iter().map(|it| {
            let hash = hash_json(&json!([it.control.id, text.to_string()]));
            (it.control, hash, it.policy)
        });
        Ok(Layer { controls: Vec::new(), policies: policies.collect() })
    }
}

fn whole(message: String) -> SourceProblem {
    SourceProblem { pointer: String::new(), line: 1, column: 1, message }
}

/// Reads a control and compiles it to see whether that can be done.
fn control(catalogue: &Catalogue, text: &str) -> Result<Control, Vec<SourceProblem>> {
    let control = catalogue.parse_custom(text)?;
    let mut problems = Vec::new();
    compile::control(&control, control.fingerprint(), &mut problems);
    if problems.is_empty() {
        return Ok(control);
    }
    let source = Documents::read(text).map_err(|problem| vec![problem])?;
    let place = |problem: &crate::CompileProblem| {
        // The position in the field becomes one in the source.
        let within = problem.position.map(|(line, column)| format!("{line}:{column}: ")).unwrap_or_default();
        let message = problem.message.strip_prefix(&within).unwrap_or(&problem.message);
        source.problem(0, &pointer_of(&problem.field), problem.position, message)
    };
    Err(problems.iter().map(place).collect())
}

impl Layer {
    /// Every control that the source adds, those that stand for policies included.
    pub fn controls(&self) -> impl Iterator<Item = &Control> {
        self.controls.iter().map(|(control, _)| control).chain(self.policies.iter().map(|(control, ..)| control))
    }
}

/// The catalogue with what some sources add.
#[must_use]
pub fn catalogue(base: &Catalogue, layers: &[Layer]) -> Catalogue {
    let controls = layers.iter().flat_map(|layer| &layer.controls).map(|(control, hash)| (control.clone(), *hash));
    let policies = layers.iter().flat_map(|layer| &layer.policies).map(|(control, hash, _)| (control.clone(), *hash));
    base.with_custom(controls.chain(policies))
}

/// Catalogue and engine with what some sources add. `host` decides where a policy runs: it gives back what is asked in its
/// place.
pub fn layered(
    (base, engine): (&Catalogue, &Engine),
    layers: Vec<Layer>,
    mut host: impl FnMut(&str, Box<dyn Policy>) -> Arc<dyn Policy>,
) -> (Catalogue, Engine) {
    let catalogue = catalogue(base, &layers);
    let mut engine = engine.clone();
    for layer in layers {
        for (control, hash) in layer.controls {
            // Reading the layer has compiled it once already.
            if let Some(compiled) = compile::control(&control, hash, &mut Vec::new()) {
                engine.add(compiled);
            }
        }
        for (control, hash, policy) in layer.policies {
            let policy = host(&control.id, policy);
            engine.add(imported(&control, hash, policy));
        }
    }
    (catalogue, engine)
}

pub(crate) fn imported(control: &Control, version: ConfigHash, policy: Arc<dyn Policy>) -> Compiled {
    Compiled {
        id: control.id.clone(),
        severity: control.severity,
        version,
        kinds: control.variants.iter().flat_map(rampart_content::Variant::judged).collect(),
        parameters: control.parameters.clone(),
        variants: Vec::new(),
        imported: Some(Imported::new(policy)),
        custom: true,
    }
}
