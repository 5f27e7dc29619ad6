use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::{Value, json};

use super::selector::Selector;
use super::snapshot::{Moment, Snapshot, Stored};
use super::status::Failure;
use crate::answer::Answer;
use crate::faults::FaultKind;
use crate::world::KindKey;

/// Which objects of a kind are asked for, and how.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    namespace: Option<String>,
    limit: Option<usize>,
    after: Option<String>,
    labels: Option<Selector>,
    fields: Option<Selector>,
    pub(crate) metadata_only: bool,
}

impl Query {
    pub(crate) fn parse(namespace: Option<&str>, pairs: &[(String, String)], accept: &str) -> Result<Self, Failure> {
        let mut query = Self {
            namespace: namespace.map(ToOwned::to_owned),
            metadata_only: accept.split(',').next().is_some_and(|first| first.contains("as=PartialObjectMetadata")),
            ..Self::default()
        };
        let unsupported = |text: &str| Failure::bad_request(format!("unable to parse requirement: {text}"));
        for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
            match name.as_str() {
                "limit" => {
                    query.limit = Some(value.parse().map_err(|_| unsupported(value))?).filter(|limit| *limit > 0);
                }
                "continue" => query.after = Some(value.clone()),
                "labelSelector" => query.labels = Some(Selector::labels(value).ok_or_else(|| unsupported(value))?),
                "fieldSelector" => query.fields = Some(Selector::fields(value).ok_or_else(|| unsupported(value))?),
                _ => {}
            }
        }
        Ok(query)
    }

    fn selects(&self, stored: &Stored) -> bool {
        if self.namespace.is_some() && self.namespace.as_deref() != stored.namespace.as_deref() {
            return false;
        }
        (self.labels.is_none() && self.fields.is_none()) || self.matches(&stored.value())
    }

    /// Whether an object of the kind is asked for.
    pub(crate) fn selects_object(&self, object: &Value) -> bool {
        let namespace = self.namespace.as_deref();
        (namespace.is_none() || namespace == object["metadata"]["namespace"].as_str()) && self.matches(object)
    }

    fn matches(&self, object: &Value) -> bool {
        [&self.labels, &self.fields].into_iter().flatten().all(|selector| selector.matches(object))
    }
}

/// Where a continued list goes on: opaque to clients.
fn token(generation: u64, version: &str, offset: usize) -> String {
    URL_SAFE_NO_PAD
        .encode(json!({ "v": "meta.k8s.io/v1", "rv": version, "g": generation, "start": offset }).to_string())
}

/// Offset and version of a token; 410 when the world has changed since it was given.
fn resume(token: &str, generation: u64) -> Result<(usize, String), Failure> {
    let malformed = || Failure::bad_request("continue key is not valid");
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| malformed())?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|_| malformed())?;
    let offset = value["start"].as_u64().ok_or_else(malformed)?;
    if value["g"] != generation {
        return Err(Failure::expired());
    }
    Ok((offset as usize, value["rv"].as_str().unwrap_or_default().to_owned()))
}

/// A list of a kind.
pub(crate) fn list(
    snapshot: &Snapshot,
    key: KindKey,
    query: &Query,
    moment: &Moment,
    faults: &[FaultKind],
) -> Result<Answer, Failure> {
    let objects = snapshot.of_kind(key);
    let (start, version) = match &query.after {
        Some(token) => resume(token, snapshot.generation)?,
        None => (0, moment.version.clone()),
    };
    let everything = query.namespace.is_none() && query.labels.is_none() && query.fields.is_none();
    let limit = query.limit.unwrap_or(usize::MAX);
    let mut chosen: Vec<&Stored> = Vec::new();
    let mut end = start;
    for stored in objects.iter().skip(start) {
        if chosen.len() == limit {
            break;
        }
        end += 1;
        if query.selects(stored) {
            chosen.push(stored);
        }
    }
    let mut metadata = json!({ "resourceVersion": version });
    if objects.iter().skip(end).any(|stored| query.selects(stored)) {
        metadata["continue"] = token(snapshot.generation, &version, end).into();
        if everything {
            metadata["remainingItemCount"] = (objects.len() - end).into();
        }
    }
    if faults.contains(&FaultKind::RepeatToken) {
        let first = || token(snapshot.generation, &version, 0);
        metadata["continue"] = query.after.clone().unwrap_or_else(first).into();
    }
    let (api_version, kind) = if query.metadata_only {
        ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadataList".to_owned())
    } else {
        (key.api_version(), format!("{}List", key.kind))
    };
    let mut body = Vec::with_capacity(chosen.len() * 8_192 + 256);
    body.extend_from_slice(
        format!("{{\"kind\":\"{kind}\",\"apiVersion\":\"{api_version}\",\"metadata\":{metadata},\"items\":[")
            .as_bytes(),
    );
    for (index, stored) in chosen.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        match huge(faults).filter(|_| index == 0) {
            Some(size) => body.extend_from_slice(padded(stored, size).as_bytes()),
            None if query.metadata_only => stored.write_metadata(&mut body, moment),
            None => stored.write_item(&mut body, moment),
        }
    }
    body.extend_from_slice(b"]}\n");
    Ok(Answer::new(StatusCode::OK, "application/json", body))
}

fn huge(faults: &[FaultKind]) -> Option<usize> {
    faults.iter().find_map(|fault| match fault {
        FaultKind::HugeObject(size) => Some(*size),
        _ => None,
    })
}

fn padded(stored: &Stored, size: usize) -> String {
    let mut value = stored.value();
    value["metadata"]["annotations"]["padding"] = "x".repeat(size).into();
    value.to_string()
}

/// One object.
pub(crate) fn one(
    snapshot: &Snapshot,
    key: KindKey,
    namespace: Option<&str>,
    name: &str,
    moment: &Moment,
) -> Result<Answer, Failure> {
    let found =
        snapshot.of_kind(key).iter().find(|stored| stored.namespace.as_deref() == namespace && &*stored.name == name);
    let stored = found.ok_or_else(|| Failure::not_found(key.plural, name))?;
    let mut body = Vec::new();
    stored.write_object(&mut body, key, moment);
    Ok(Answer::new(StatusCode::OK, "application/json", body))
}
