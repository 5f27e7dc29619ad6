use serde_json::Value;

use super::served::Served;

/// The pod specification; `dot` before each field.
pub(super) fn pod(served: &Served, dot: &str) -> Option<String> {
    let pointer = served.kind.pod_spec_pointer()?;
    Some(format!("object{}", pointer.replace('/', dot)))
}

/// The metadata of the pod template, empty where it has none.
pub(super) fn template(served: &Served) -> String {
    match pod(served, ".?").as_deref().and_then(|path| path.strip_suffix(".?spec")) {
        Some("object") => "object.metadata".to_owned(),
        Some(template) => format!("{template}.?metadata.orValue({{}})"),
        None => "{}".to_owned(),
    }
}

/// One text for each kind, chosen by the kind of the object.
pub(super) fn by_kind(kinds: &[Served], text: impl Fn(&Served) -> String) -> String {
    let mut texts: Vec<(String, Vec<&str>)> = Vec::new();
    for served in kinds {
        let own = text(served);
        match texts.iter_mut().find(|(known, _)| *known == own) {
            Some((_, names)) => names.push(served.name),
            None => texts.push((own, vec![served.name])),
        }
    }
    // The most common one needs no condition.
    texts.sort_by_key(|(_, names)| names.len());
    let last = texts.pop().map(|(text, _)| text).unwrap_or_default();
    let choice = |(text, names): (String, Vec<&str>)| {
        let kinds: Vec<String> = names.iter().map(|name| format!("object.kind == '{name}'")).collect();
        format!("{} ? {text} : ", kinds.join(" || "))
    };
    texts.into_iter().map(choice).chain([last]).collect()
}

/// Where the pod is looked at, it has to be there.
pub(super) fn blind(variables: &[(String, String)], kinds: &[Served]) -> Option<String> {
    let looked_at = variables.iter().any(|(name, _)| name == "pod" || name == "template");
    looked_at.then(|| by_kind(kinds, |served| pod(served, ".").map_or("true".to_owned(), |pod| format!("has({pod})"))))
}

/// Drops the variables that nothing uses.
pub(super) fn keep_used(variables: &mut Vec<(String, String)>, validations: &[Value]) {
    let mut texts: Vec<String> = validations.iter().map(ToString::to_string).collect();
    let mut kept = Vec::new();
    for (name, text) in variables.drain(..).rev() {
        if texts.iter().any(|user| names(user, &name)) {
            texts.push(text.clone());
            kept.push((name, text));
        }
    }
    kept.reverse();
    *variables = kept;
}

/// Whether the text names the variable.
pub(super) fn names(text: &str, name: &str) -> bool {
    let wanted = format!("variables.{name}");
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    text.match_indices(&wanted).any(|(at, _)| ends(&text[at + wanted.len()..]))
}
