//! The messages between a process and Postgres, as far as they tell where in a transaction it is.

use std::collections::HashMap;

use uuid::Uuid;

use crate::tap::Claim;

/// What both directions of a connection know.
#[derive(Debug, Default)]
pub(crate) struct Talk {
    statements: HashMap<String, Statement>,
    bound: String,
    is_in_transaction: bool,
    /// Writes of the transaction that is open, without repetitions.
    done: Vec<String>,
    /// The answers that are to come are rows of a claim.
    pub(crate) is_claim: bool,
    /// The answer to a commit is waited for, and is the last thing that happens.
    pub(crate) is_last: bool,
}

#[derive(Debug, Clone)]
struct Statement {
    /// First word and table of a write, nothing for a read.
    write: Option<String>,
    is_claim: bool,
}

/// What a message means for the transaction.
pub(crate) enum Step {
    /// A write inside a transaction.
    Statement(String),
    /// The end of a transaction with these writes.
    Commit(String),
    Other,
}

impl Talk {
    /// Takes note of a message of the process.
    pub(crate) fn hear(&mut self, sort: u8, body: &[u8]) -> Step {
        let mut texts = body.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
        let mut text = || texts.next().unwrap_or_default();
        match sort {
            b'P' => {
                let (name, query) = (text(), text());
                self.statements.insert(name, Statement::of(&query));
            }
            b'B' => {
                text();
                self.bound = text();
            }
            b'E' => {
                let statement = self.statements.get(&self.bound).cloned();
                self.is_claim |= statement.as_ref().is_some_and(|statement| statement.is_claim);
                if let Some(write) = statement.and_then(|statement| statement.write).filter(|_| self.is_in_transaction)
                {
                    if !self.done.contains(&write) {
                        self.done.push(write.clone());
                    }
                    return Step::Statement(write);
                }
            }
            b'Q' => {
                let query = text().to_lowercase();
                self.is_in_transaction |= query.starts_with("begin");
                if query.starts_with("begin") {
                    self.done.clear();
                } else if query.starts_with("rollback") {
                    self.is_in_transaction = false;
                } else if query.starts_with("commit") && std::mem::take(&mut self.is_in_transaction) {
                    // Transactions that only read have nothing that could be done twice.
                    if !self.done.is_empty() {
                        return Step::Commit(self.done.join(", "));
                    }
                }
            }
            _ => {}
        }
        Step::Other
    }
}

impl Statement {
    fn of(query: &str) -> Self {
        let query = query.to_lowercase();
        let words: Vec<&str> =
            query.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|w| !w.is_empty()).collect();
        let mut written = words.windows(3).filter_map(|three| match *three {
            ["insert", "into", table] => Some(format!("insert {table}")),
            ["delete", "from", table] => Some(format!("delete {table}")),
            ["update", table, "set"] => Some(format!("update {table}")),
            // With a name for the row.
            ["update", table, _] if !matches!(table, "skip" | "set" | "of") => Some(format!("update {table}")),
            _ => None,
        });
        let is_claim = query.contains("fence = fence + 1") && query.contains("skip locked");
        Self { write: if is_claim { Some("claim work".to_owned()) } else { written.next() }, is_claim }
    }
}

/// A row of a claim: tenant, kind, subject, fence, …, in the binary format.
pub(crate) fn claim(body: &[u8]) -> Option<Claim> {
    let mut columns = Vec::new();
    let mut rest = body.get(2..)?;
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
        columns.push(after.get(..length)?);
        rest = &after[length..];
    }
    let kind = std::str::from_utf8(columns.get(1)?).ok()?.to_owned();
    let subject = Uuid::from_slice(columns.get(2)?).ok()?;
    Some((kind, subject, i64::from_be_bytes((*columns.get(3)?).try_into().ok()?)))
}
