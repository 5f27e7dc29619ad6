use super::error::{ErrorKind, EvalError};
use super::eval::Outcome;
use super::value::Val;

/// Errors beside operands that did not decide.
#[derive(Default)]
pub(super) struct Pending(Option<EvalError>);

impl Pending {
    pub(super) fn push(&mut self, error: EvalError) -> Result<(), EvalError> {
        if error.kind == ErrorKind::Budget {
            return Err(error);
        }
        if self.0.is_none() || error.kind.is_missing() {
            self.0 = Some(error);
        }
        Ok(())
    }

    pub(super) fn finish(self, value: Val<'_>) -> Outcome<'_> {
        self.0.map_or(Ok(value), Err)
    }
}
