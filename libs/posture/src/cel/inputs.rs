use chrono::{DateTime, Utc};
use serde_json::Value;

use super::error::{ErrorKind, Missing};
use super::ir::{Fact, Program, Slot, Variable};
use super::value::{Text, Val};
use crate::input::{Facts, NeighbourItem};

/// What the names of a control's expression stand for.
pub(crate) struct Variables<'a> {
    pub(crate) object: &'a Value,
    pub(crate) pod: Option<&'a Value>,
    pub(crate) template: &'a Value,
    pub(crate) facts: &'a Facts<'a>,
    pub(crate) params: &'a Value,
    pub(crate) now: DateTime<Utc>,
    /// Per declared neighbour: what was listed, `None` when the listing is incomplete.
    pub(crate) neighbours: &'a [Option<&'a [NeighbourItem<'a>]>],
    pub(crate) lets: &'a [Program],
    pub(crate) it: Option<(&'a Value, &'static str, Text<'a>)>,
}

/// What the names of a policy's expression stand for; [`Val::Missing`] is what is not known.
#[derive(Clone)]
pub(crate) struct Admission<'a> {
    pub(crate) object: Val<'a>,
    pub(crate) old_object: Val<'a>,
    pub(crate) request: Val<'a>,
    pub(crate) params: Val<'a>,
    pub(crate) namespace: Val<'a>,
    pub(crate) any_object: Val<'a>,
    pub(crate) parameters: Val<'a>,
    /// `variables.*`, in the order declared.
    pub(crate) lets: &'a [Program],
}

/// What a run may name.
pub(crate) enum Inputs<'a> {
    Control(Variables<'a>),
    Admission(Admission<'a>),
}

impl<'a> From<Variables<'a>> for Inputs<'a> {
    fn from(variables: Variables<'a>) -> Self {
        Self::Control(variables)
    }
}

impl<'a> From<Admission<'a>> for Inputs<'a> {
    fn from(admission: Admission<'a>) -> Self {
        Self::Admission(admission)
    }
}

impl<'a> Inputs<'a> {
    pub(super) fn lets(&self) -> &'a [Program] {
        match self {
            Self::Control(variables) => variables.lets,
            Self::Admission(admission) => admission.lets,
        }
    }

    pub(super) fn value(&self, variable: Variable) -> Result<Val<'a>, ErrorKind> {
        match self {
            Self::Control(variables) => variables.value(variable),
            Self::Admission(admission) => admission.value(variable),
        }
    }

    pub(super) fn fact(&self, fact: Fact) -> Option<Val<'a>> {
        match self {
            Self::Control(variables) => variables.fact(fact),
            Self::Admission(_) => None,
        }
    }
}

impl<'a> Variables<'a> {
    fn value(&self, variable: Variable) -> Result<Val<'a>, ErrorKind> {
        let it = || self.it.as_ref().ok_or(ErrorKind::NoSuchKey);
        Ok(match variable {
            Variable::Object => Val::of(self.object),
            Variable::Pod => Val::of(self.pod.ok_or(ErrorKind::NoSuchKey)?),
            Variable::Template => Val::of(self.template),
            Variable::Params => Val::of(self.params),
            Variable::Now => Val::Timestamp(self.now),
            Variable::It => Val::of(it()?.0),
            Variable::Level => Val::text(it()?.1),
            Variable::Name => Val::Str(it()?.2.clone()),
            Variable::Fact(fact) => self.fact(fact).ok_or(ErrorKind::NoSuchKey)?,
            Variable::Neighbour(index) => {
                Val::Neighbours(self.neighbours[usize::from(index)].ok_or(ErrorKind::Unread(index))?)
            }
            Variable::Let(_) | Variable::Admission(_) => return Err(ErrorKind::NoSuchKey),
        })
    }

    fn fact(&self, fact: Fact) -> Option<Val<'a>> {
        let facts = self.facts;
        Some(match fact {
            Fact::Kind => Val::text(facts.kind.as_str()),
            Fact::Name => Val::text(facts.name),
            Fact::Namespace => Val::text(facts.namespace?),
            Fact::Cloud => Val::text(facts.cloud.as_str()),
            Fact::Account => Val::text(facts.account?),
            Fact::Region => Val::text(facts.region?),
            Fact::Labels => Val::of(facts.labels),
            Fact::ManagedBy => Val::text(facts.managed_by.as_str()),
            Fact::Active => Val::Bool(facts.active),
            Fact::NativeId => Val::text(facts.native_id),
        })
    }
}

impl<'a> Admission<'a> {
    fn value(&self, variable: Variable) -> Result<Val<'a>, ErrorKind> {
        let Variable::Admission(slot) = variable else { return Err(ErrorKind::NoSuchKey) };
        let value = match slot {
            Slot::Object => &self.object,
            Slot::OldObject => &self.old_object,
            Slot::Request => &self.request,
            Slot::Params => &self.params,
            Slot::NamespaceObject => &self.namespace,
            Slot::Authorizer => &Val::Missing(Missing::Authorizer),
            Slot::AnyObject => &self.any_object,
            Slot::Parameters => &self.parameters,
        };
        match value {
            Val::Missing(missing) => Err(ErrorKind::Missing(*missing)),
            value => Ok(value.clone()),
        }
    }
}
