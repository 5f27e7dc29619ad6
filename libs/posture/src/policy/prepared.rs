use std::borrow::Cow;
use std::cell::OnceCell;

use serde_json::Value;

use super::Review;
use super::rego::TooDeep;
use super::validation::{Dialect, Target, without_nulls};

/// An object under review with what policies make of it: worked out once for all that look at it.
pub struct Prepared<'a> {
    review: Review<'a>,
    rego: OnceCell<Result<regorus::Value, TooDeep>>,
    target: OnceCell<Target<'a>>,
    objects: OnceCell<(Cow<'a, Value>, Option<Cow<'a, Value>>)>,
    /// Fields of the request, for Kubernetes and for Gatekeeper.
    fields: [OnceCell<Value>; 2],
}

impl<'a> Prepared<'a> {
    /// Prepares a review that comes without its admission request.
    pub fn new(review: Review<'a>) -> Self {
        Self {
            review,
            rego: OnceCell::new(),
            target: OnceCell::new(),
            objects: OnceCell::new(),
            fields: [OnceCell::new(), OnceCell::new()],
        }
    }

    /// What is reviewed.
    pub fn review(&self) -> &Review<'a> {
        &self.review
    }

    /// `input.review` of Rego.
    pub(super) fn rego(
        &self,
        make: impl FnOnce() -> Result<regorus::Value, TooDeep>,
    ) -> Result<regorus::Value, TooDeep> {
        self.rego.get_or_init(make).clone()
    }

    pub(super) fn target(&self) -> &Target<'a> {
        self.target.get_or_init(|| Target::of(&self.review))
    }

    /// The review of the objects as the API server has them, without nulls.
    pub(super) fn clean(&self) -> Review<'_> {
        let (object, old_object) =
            self.objects.get_or_init(|| (without_nulls(self.review.object), self.review.old_object.map(without_nulls)));
        Review { object, old_object: old_object.as_deref(), ..self.review }
    }

    pub(super) fn fields(&self, dialect: Dialect, make: impl FnOnce() -> Value) -> &Value {
        let place = match dialect {
            Dialect::Kubernetes => &self.fields[0],
            Dialect::Gatekeeper => &self.fields[1],
        };
        place.get_or_init(make)
    }
}
