//! Exports: rows without end, written as they are read.
//!
//! An export is read page by page, each page in a short transaction of its own that is over before its bytes are sent; what
//! makes the pages one is the moment that all of them are read of. While one page is on its way the next one is read, and no
//! more than that is ever held. A closing line says how many rows there were: an answer without it was cut.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use futures::stream::try_unfold;
use rampart_store::StoreError;
use rampart_store::moment::Moment;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;

use super::lines::{Form, Line, Taken, Writer};
use super::query::{pairs, read};
use super::{ApiError, Code};

/// Rows of one page.
const PAGE: u16 = 2_000;

/// What every export takes beside its filters.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the parameters; they are read one by one, beside those of a list")]
pub(crate) struct ExportParams {
    /// How rows are written; `ndjson` when left out.
    #[param(inline)]
    format: Option<Form>,
    /// Goes on after the row with this `id`, the last that came in one piece. With the `as_of` of the answer that was cut,
    /// its `Rampart-As-Of`, and the same filters, both together are the whole.
    after: Option<String>,
}

/// The query of an export: how, from where, and the filters of its list.
#[derive(Debug)]
pub(crate) struct Export<F> {
    pub filter: F,
    pub form: Form,
    pub after: Option<String>,
}

#[derive(Deserialize)]
struct Manner {
    #[serde(default)]
    format: Form,
    after: Option<String>,
}

impl<S: Send + Sync, F: DeserializeOwned> FromRequestParts<S> for Export<F> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let mut pairs = pairs(parts)?;
        let manner = ["format", "after"].iter().filter_map(|key| pairs.remove_entry(*key)).collect();
        let Manner { format: form, after } = read(manner)?;
        if let Some(of_lists) = ["sort", "group_by", "limit", "cursor"].iter().find(|key| pairs.contains_key(**key)) {
            let detail = format!("`{of_lists}`: an export is whole, and in order of its ids");
            return Err(ApiError::new(Code::InvalidQuery, detail));
        }
        Ok(Self { filter: read(pairs)?, form, after })
    }
}

/// Where the rows of an export come from.
pub(crate) trait Pages: Send + Sync + 'static {
    /// A row as it is stored.
    type Row: Send + Sync + 'static;

    /// Up to `limit` rows after the given one, in one order that never changes.
    fn read(
        &self,
        after: Option<&Self::Row>,
        limit: u16,
    ) -> impl Future<Output = Result<Vec<Self::Row>, StoreError>> + Send;

    /// Writes rows.
    fn write(&self, rows: &[Self::Row], out: &mut Writer) -> anyhow::Result<()>;

    /// Header of a CSV.
    fn columns(&self) -> &'static [&'static str];
}

/// An export of a moment. The first page is read before the answer begins, so that what fails at once is an error.
pub(crate) async fn answer<P: Pages>(
    what: &'static str,
    pages: P,
    form: Form,
    at: Moment,
) -> Result<Response, ApiError> {
    let first = pages.read(None, PAGE).await?;
    let state = Stream { what, pages: Arc::new(pages), form, at, rows: 0, step: Step::First(first) };
    let body = Body::from_stream(try_unfold(state, |mut state| async move {
        let chunk = state.next().await.inspect_err(|error| {
            tracing::error!(error = format!("{error:#}"), export = state.what, "an export was cut");
        })?;
        anyhow::Ok(chunk.map(|chunk| (chunk, state)))
    }));
    Ok(response(what, form, Taken::Of(at), body))
}

/// An export of rows that are at hand: few enough to be read at once.
pub(crate) fn answer_at_once<L: Line>(
    what: &'static str,
    lines: &[L],
    form: Form,
    at: DateTime<Utc>,
) -> anyhow::Result<Response> {
    let mut out = Writer::new(form);
    out.header(L::COLUMNS)?;
    for line in lines {
        out.line(line)?;
    }
    out.summary(lines.len() as u64, Taken::At(at), L::COLUMNS)?;
    Ok(response(what, form, Taken::At(at), Body::from(out.finish()?)))
}

fn response(what: &str, form: Form, taken: Taken, body: Body) -> Response {
    let (content_type, ending) = match form {
        Form::Ndjson => ("application/x-ndjson", "ndjson"),
        Form::Csv => ("text/csv; charset=utf-8", "csv"),
    };
    let mut response = body.into_response();
    let (as_of, watermark) = taken.times();
    let name = format!("attachment; filename=\"{what}.{ending}\"");
    let headers = [
        (header::CONTENT_TYPE, Some(content_type.to_owned())),
        (header::CONTENT_DISPOSITION, Some(name)),
        (HeaderName::from_static("rampart-as-of"), Some(as_of)),
        (HeaderName::from_static("rampart-watermark"), watermark),
    ];
    for (name, value) in headers {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

type Read<P> = JoinHandle<Result<Vec<<P as Pages>::Row>, StoreError>>;

enum Step<P: Pages> {
    First(Vec<P::Row>),
    Next(Read<P>),
    Summary,
    Over,
}

struct Stream<P: Pages> {
    what: &'static str,
    pages: Arc<P>,
    form: Form,
    at: Moment,
    rows: u64,
    step: Step<P>,
}

impl<P: Pages> Stream<P> {
    /// The next bytes; `None` after the closing line.
    async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        let begins = matches!(self.step, Step::First(_));
        let rows = match std::mem::replace(&mut self.step, Step::Over) {
            Step::First(rows) => rows,
            Step::Next(read) => read.await??,
            Step::Summary => {
                let mut out = Writer::new(self.form);
                out.summary(self.rows, Taken::Of(self.at), self.pages.columns())?;
                return Ok(Some(out.finish()?.into()));
            }
            Step::Over => return Ok(None),
        };
        self.rows += rows.len() as u64;
        let rows = Arc::new(rows);
        self.step = if rows.len() == usize::from(PAGE) {
            let (pages, rows) = (Arc::clone(&self.pages), Arc::clone(&rows));
            Step::Next(tokio::spawn(async move { pages.read(rows.last(), PAGE).await }))
        } else {
            Step::Summary
        };
        let (pages, form) = (Arc::clone(&self.pages), self.form);
        let text = tokio::task::spawn_blocking(move || {
            let mut out = Writer::new(form);
            if begins {
                out.header(pages.columns())?;
            }
            pages.write(&rows, &mut out)?;
            out.finish()
        });
        // A page without rows has no bytes, which would be taken for nothing.
        Ok(Some(text.await??.into()))
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde_json::json;

    use super::*;

    struct Cells(&'static str);

    impl Line for Cells {
        const COLUMNS: &'static [&'static str] = &["id", "text", "more"];

        fn json(&self) -> impl Serialize {
            json!({ "id": self.0 })
        }

        fn cells(&self) -> Vec<String> {
            vec![self.0.to_owned(), "=1+1".to_owned(), "two\nlines, \"quoted\"".to_owned()]
        }
    }

    async fn text(form: Form) -> String {
        let answered = answer_at_once("things", &[Cells("a"), Cells("b")], form, DateTime::UNIX_EPOCH).unwrap();
        let bytes = axum::body::to_bytes(answered.into_body(), usize::MAX).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn both_forms_end_with_the_number_of_rows() {
        let lines = text(Form::Ndjson).await;
        let last = lines.lines().last().unwrap();
        assert_eq!(last, r#"{"summary":{"as_of":"1970-01-01T00:00:00.000000Z","rows":2,"watermark":null}}"#);
        let csv = text(Form::Csv).await;
        assert!(csv.starts_with("id,text,more\na,'=1+1,\"two\nlines, \"\"quoted\"\"\"\n"), "{csv}");
        assert!(csv.ends_with("\n#end,2,\n"), "{csv}");
    }
}
