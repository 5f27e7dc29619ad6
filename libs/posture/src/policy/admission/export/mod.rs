//! A control as a `ValidatingAdmissionPolicy` with its binding.
//!
//! ```text
//! Control + parameters ──export──> policy + binding
//! ```
//!
//! The policy refuses what the control finds unhealthy and nothing else: where the control says unknown or not
//! applicable, the policy lets pass. An expression that fails is ignored, as a verdict that cannot be had is no
//! violation. The expressions use the libraries of Kubernetes 1.30 and later; a control that needs anything else is
//! refused with the reason, never approximated.

mod calls;
mod documents;
mod elements;
mod piece;
mod served;
mod translate;
mod variables;
mod yaml;

use documents::documents;
use elements::{Range, ranges, unless};
use piece::{Piece, Type, any};
use rampart_content::{Control, ParameterType, Variant};
use rampart_domain::{Family, Kind};
use serde_json::{Map, Value, json};
use served::{Served, comes_as_others, served};
use translate::{Ground, Named, Place, Told, Translator, Untold, param_name};
use variables::{blind, by_kind, keep_used, pod, template};

use crate::cel;
use crate::check::{SelectionError, effective};

/// What the API server does about a violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It notes it in the audit log.
    Audit,
    /// It warns whoever asked.
    Warn,
    /// It refuses the request.
    Deny,
}

impl Action {
    /// The word of a binding.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "Audit",
            Self::Warn => "Warn",
            Self::Deny => "Deny",
        }
    }
}

/// A policy with the binding that switches it on.
#[derive(Debug, Clone, PartialEq)]
pub struct Exported {
    /// The document of kind `ValidatingAdmissionPolicy`.
    pub policy: Value,
    /// The document of kind `ValidatingAdmissionPolicyBinding`.
    pub binding: Value,
}

/// Why there is no policy for a control.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// The parameters are none of the control's.
    #[error(transparent)]
    Parameters(#[from] SelectionError),
    /// With these parameters the control judges nothing.
    #[error("with these parameters `{control}` applies to nothing: {cause}")]
    Nothing {
        /// The control.
        control: String,
        /// Why.
        cause: String,
    },
    /// A policy cannot say what the control says.
    #[error("`{control}` is no admission policy: its {field} {reason}")]
    Unsayable {
        /// The control.
        control: String,
        /// Field of the control's file.
        field: String,
        /// What a policy cannot do.
        reason: String,
    },
}

/// Writes a control as a policy that judges as it does, with parameters other than the defaults.
pub fn export(control: &Control, params: &Map<String, Value>, actions: &[Action]) -> Result<Exported, ExportError> {
    let params = effective(&control.id, &control.parameters, params)?;
    cel::on_deep_stack(|| Exporter { control, params: &params }.export(actions))
        .unwrap_or_else(|error| Err(Exporter { control, params: &params }.refuse("violation", error)))
}

struct Exporter<'c> {
    control: &'c Control,
    params: &'c Map<String, Value>,
}

/// What the name of the variable is that says where the policy does not look.
const NOT_APPLICABLE: &str = "not_applicable";

impl<'c> Exporter<'c> {
    fn refuse(&self, field: &str, reason: impl Into<String>) -> ExportError {
        ExportError::Unsayable { control: self.control.id.clone(), field: field.to_owned(), reason: reason.into() }
    }

    fn told<T>(&self, field: &str, told: Told<T>) -> Result<T, ExportError> {
        told.map_err(|untold| match untold {
            Untold::Because(reason) => self.refuse(field, reason),
            Untold::Element => self.refuse(field, "looks at an element where there is none"),
        })
    }

    /// The one variant that judges what clusters serve.
    fn variant(&self) -> Result<(&'c Variant, Vec<Served>), ExportError> {
        let in_clusters = |variant: &&Variant| variant.judged().iter().any(|kind| kind.family() == Family::Kubernetes);
        let mut variants = self.control.variants.iter().filter(in_clusters);
        let Some(variant) = variants.next() else {
            return Err(self.refuse("kinds", "are configuration of a cloud, which no cluster admits"));
        };
        if variants.next().is_some() {
            return Err(self.refuse("variants", "judge kinds of clusters each in its own way"));
        }
        let kinds: Vec<Kind> = variant.judged().into_iter().filter(|kind| !comes_as_others(*kind)).collect();
        let unserved =
            |kind: &Kind| self.refuse("kinds", format!("have `{kind}`, which no API serves by a known name"));
        let served = kinds.iter().map(|kind| served(*kind).ok_or_else(|| unserved(kind))).collect::<Result<_, _>>()?;
        Ok((variant, served))
    }

    fn parsed(&self, field: &str, source: &str) -> Result<::cel::common::ast::IdedExpr, ExportError> {
        cel::parse(source).map(|(parsed, _)| parsed).map_err(|error| self.refuse(field, error.to_string()))
    }

    fn piece(
        &self,
        field: &str,
        source: &str,
        ground: &Ground<'_>,
        place: Option<&Place>,
    ) -> Result<Piece, ExportError> {
        let source = self.parsed(field, source)?;
        self.told(field, Translator::new(ground, place).piece(&source))
    }

    fn export(&self, actions: &[Action]) -> Result<Exported, ExportError> {
        let (variant, kinds) = self.variant()?;
        if let Some(name) = variant.neighbours.keys().next() {
            return Err(self.refuse(&format!("neighbours.{name}"), "looks at other objects"));
        }
        let ground = self.ground(variant, &kinds)?;
        let mut variables = self.variables(&ground, &kinds);
        let not_applicable = self.not_applicable(variant, &ground)?;
        if let Some(piece) = &not_applicable {
            variables.push((NOT_APPLICABLE.to_owned(), piece.text.clone()));
        }
        let not_applicable = not_applicable.as_ref().map(|_| NOT_APPLICABLE);
        let validations = if variant.for_each.is_empty() {
            let (holds, violates, message) = self.condition(variant, &ground, None)?;
            let known = violates.flag() == Some(false);
            (!known).then(|| self.validation(&unless(not_applicable, &holds), &message.as_text())).into_iter().collect()
        } else {
            self.validations(variant, &ground, not_applicable)?
        };
        if validations.is_empty() {
            return Err(self.nothing("the condition never holds"));
        }
        keep_used(&mut variables, &validations);
        let conditions = blind(&variables, &kinds);
        Ok(documents(self.control, &kinds, conditions, variables, validations, actions))
    }

    fn nothing(&self, cause: impl Into<String>) -> ExportError {
        ExportError::Nothing { control: self.control.id.clone(), cause: cause.into() }
    }

    fn ground(&self, variant: &Variant, kinds: &[Served]) -> Result<Ground<'c>, ExportError> {
        let words: Vec<String> = kinds.iter().map(|served| format!("'{}': '{}'", served.name, served.kind)).collect();
        let kind = match kinds {
            [only] => Piece::str(only.kind.as_str()),
            _ => Piece::member(format!("{{{}}}[object.kind]", words.join(", ")), Type::Str),
        };
        let mut ground = Ground { declared: &self.control.parameters, params: self.params, kind, lets: Vec::new() };
        for (name, source) in &variant.r#let {
            let field = format!("let.{name}");
            if name.starts_with("param_") || name == NOT_APPLICABLE {
                return Err(self.refuse(&field, "has a name that the policy needs"));
            }
            let source = self.parsed(&field, source)?;
            let variable = Translator::new(&ground, None).piece(&source);
            ground.lets.push(Named { name: name.clone(), source, variable });
        }
        Ok(ground)
    }

    /// Everything that expressions may name, each above what uses it.
    fn variables(&self, ground: &Ground<'_>, kinds: &[Served]) -> Vec<(String, String)> {
        let mut variables = vec![
            ("pod".to_owned(), by_kind(kinds, |served| pod(served, ".").unwrap_or_default())),
            ("template".to_owned(), by_kind(kinds, template)),
        ];
        for (name, parameter) in &self.control.parameters {
            if let (ParameterType::Array, Some(Value::Array(items))) = (parameter.r#type, self.params.get(name)) {
                let items: Vec<String> = items.iter().filter_map(Value::as_str).map(piece::quote).collect();
                variables.push((param_name(name), format!("[{}]", items.join(", "))));
            }
        }
        let lets = ground.lets.iter().filter_map(|named| Some((named.name.clone(), named.variable.as_ref().ok()?)));
        variables.extend(lets.map(|(name, piece)| (name, piece.text.clone())));
        variables
    }

    fn not_applicable(&self, variant: &Variant, ground: &Ground<'_>) -> Result<Option<Piece>, ExportError> {
        let mut pieces = Vec::new();
        for (index, guard) in variant.not_applicable.iter().enumerate() {
            let piece = self.piece(&format!("not_applicable.{index}"), &guard.r#if, ground, None)?;
            if piece.flag() == Some(true) {
                return Err(self.nothing(&guard.cause));
            }
            pieces.push(piece);
        }
        Ok(any(pieces))
    }

    /// What has to hold, when it does not, and what is said then.
    fn condition(
        &self,
        variant: &Variant,
        ground: &Ground<'_>,
        place: Option<&Place>,
    ) -> Result<(Piece, Piece, Piece), ExportError> {
        let mut open = Vec::new();
        for (index, needs) in variant.unknown.iter().enumerate() {
            open.push(self.piece(&format!("unknown.{index}"), &needs.r#if, ground, place)?);
        }
        let violation = self.piece("violation", &variant.violation, ground, place)?;
        open.push(violation.negated());
        let holds = any(open).unwrap_or_else(|| Piece::bool(false));
        // A sentence that cannot be said does not decide: the title stands for it.
        let message = self.piece("message", &variant.message, ground, place);
        let message = message.unwrap_or_else(|_| Piece::str(&self.control.title));
        Ok((holds, violation, message))
    }

    fn validations(
        &self,
        variant: &Variant,
        ground: &Ground<'_>,
        not_applicable: Option<&str>,
    ) -> Result<Vec<Value>, ExportError> {
        let mut validations = Vec::new();
        for (index, entry) in variant.for_each.iter().enumerate() {
            for range in self.told(&format!("for_each.{index}"), ranges(entry))? {
                let place = place(&range);
                let (holds, violates, message) = self.condition(variant, ground, Some(&place))?;
                if violates.flag() != Some(false) {
                    let said = range.said(&holds.negated(), &message);
                    validations.push(self.validation(&unless(not_applicable, &range.all(holds)), &said));
                }
            }
        }
        Ok(validations)
    }

    fn validation(&self, expression: &str, said: &str) -> Value {
        json!({"expression": expression, "message": self.control.title, "messageExpression": said})
    }
}

fn place(range: &Range) -> Place {
    let it = range.it();
    let name = if range.level == "pod" {
        "object.metadata.?name.orValue('')".to_owned()
    } else {
        format!("{it}.?name.orValue('')")
    };
    Place { it: it.to_owned(), name, level: range.level }
}
