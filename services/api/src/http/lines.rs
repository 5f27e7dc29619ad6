//! Rows as they are written: a JSON object a line, or CSV.

use anyhow::Context as _;
use chrono::{DateTime, SecondsFormat, Utc};
use rampart_store::moment::Moment;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

/// First cell of the closing record of a CSV.
const END: &str = "#end";

/// How rows are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Form {
    /// One JSON object on each line. The last line is `{"summary": {"rows", …}}`.
    #[default]
    Ndjson,
    /// RFC 4180, with a header. Cells that a spreadsheet would take for formulas begin with an apostrophe. The first two
    /// cells of the last record are `#end` and the number of rows.
    Csv,
}

/// A row that can be written.
pub(crate) trait Line {
    /// Header of a CSV.
    const COLUMNS: &'static [&'static str];
    /// The row as JSON.
    fn json(&self) -> impl Serialize;
    /// The row as cells, as many as there are columns.
    fn cells(&self) -> Vec<String>;
}

/// Writes lines of one form.
#[derive(Debug)]
pub(crate) enum Writer {
    Ndjson(Vec<u8>),
    Csv(Box<csv::Writer<Vec<u8>>>),
}

impl Writer {
    pub(super) fn new(form: Form) -> Self {
        match form {
            Form::Ndjson => Self::Ndjson(Vec::new()),
            Form::Csv => Self::Csv(Box::new(csv::Writer::from_writer(Vec::new()))),
        }
    }

    /// Writes a row.
    pub(crate) fn line<L: Line>(&mut self, line: &L) -> anyhow::Result<()> {
        match self {
            Self::Ndjson(text) => end_line(text, &line.json()),
            Self::Csv(writer) => Ok(writer.write_record(line.cells().into_iter().map(inert))?),
        }
    }

    pub(super) fn header(&mut self, columns: &[&str]) -> anyhow::Result<()> {
        match self {
            Self::Ndjson(_) => Ok(()),
            Self::Csv(writer) => Ok(writer.write_record(columns)?),
        }
    }

    /// Writes the closing line.
    pub(super) fn summary(&mut self, rows: u64, taken: Taken, columns: &[&str]) -> anyhow::Result<()> {
        match self {
            Self::Ndjson(text) => {
                let (as_of, watermark) = taken.times();
                end_line(text, &json!({ "summary": { "rows": rows, "as_of": as_of, "watermark": watermark } }))
            }
            Self::Csv(writer) => {
                let cells = [END.to_owned(), rows.to_string()].into_iter();
                let empty = std::iter::repeat_n(String::new(), columns.len().saturating_sub(2));
                Ok(writer.write_record(cells.chain(empty))?)
            }
        }
    }

    /// What was written.
    pub(super) fn finish(self) -> anyhow::Result<Vec<u8>> {
        match self {
            Self::Ndjson(text) => Ok(text),
            Self::Csv(writer) => writer.into_inner().context("a buffer takes what is written"),
        }
    }
}

fn end_line(text: &mut Vec<u8>, value: &impl Serialize) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *text, value)?;
    text.push(b'\n');
    Ok(())
}

/// Spreadsheets take a cell that begins so for a formula; an apostrophe makes it text.
pub(crate) fn inert(cell: String) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { format!("'{cell}") } else { cell }
}

/// What an export is of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Taken {
    /// A moment that can be asked for again.
    Of(Moment),
    /// What was there when it was read, at once.
    At(DateTime<Utc>),
}

impl Taken {
    pub(super) fn times(self) -> (String, Option<String>) {
        let text = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Micros, true);
        match self {
            Self::Of(moment) => (text(moment.as_of), Some(text(moment.watermark))),
            Self::At(at) => (text(at), None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_that_would_be_formulas_are_text() {
        for hostile in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
            assert_eq!(inert(hostile.to_owned()), format!("'{hostile}"));
        }
        assert_eq!(inert("k8s://shop/web".to_owned()), "k8s://shop/web");
    }
}
