use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufWriter, Write as _};
use std::sync::Arc;

use rampart_domain::{Severity, Status};
use serde_json::{Value, json};

use super::lines::Lines;
use super::{object, references};
use crate::Terminal;
use crate::check::Run;
use crate::report::{Finding, Place, Problem, Rule};

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
/// How SARIF names standard input: there has to be some address.
const STDIN: &str = "stdin";

/// The report as SARIF 2.1.0.
pub(crate) fn write(run: &Run, terminal: &mut Terminal<'_>) -> io::Result<()> {
    let report = &run.report;
    let used: Vec<&Arc<str>> = {
        let mut used: Vec<_> = report.findings.iter().filter_map(|finding| finding.control.as_ref()).collect();
        used.sort_unstable();
        used.dedup();
        used
    };
    let index: BTreeMap<&str, usize> = used.iter().enumerate().map(|(index, id)| (&***id, index)).collect();
    let rules: Vec<_> = used.iter().filter_map(|id| report.rules.get(*id)).map(|it| rule(it)).collect();
    let mut places = Places { run, lines: BTreeMap::new() };
    let judged = report.findings.iter().filter(|finding| finding.control.is_some());
    let results: Vec<_> = judged.map(|finding| result(finding, &index, &mut places)).collect();
    let notifications: Vec<_> = report.summary.errors.iter().map(notification).collect();
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "Rampart",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "utf16CodeUnits",
            "invocations": [{
                "executionSuccessful": report.summary.errors.is_empty(),
                "toolExecutionNotifications": notifications,
            }],
            "results": results,
        }],
    });
    let mut out = BufWriter::new(&mut *terminal.stdout);
    serde_json::to_writer_pretty(&mut out, &log)?;
    out.write_all(b"\n")?;
    out.flush()
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Informational => "note",
    }
}

/// On the scale of CVSS, by which code hosts sort findings.
const fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "3.0",
        Severity::Informational => "0.0",
    }
}

fn rule(rule: &Rule) -> Value {
    let mut help = vec![rule.rationale.clone()];
    let mut markdown = vec![rule.rationale.clone()];
    if let Some(remediation) = &rule.remediation {
        help.push(remediation.text.trim().to_owned());
        markdown.push(format!("**Remedy.** {}", remediation.text.trim()));
        if let Some(patch) = &remediation.patch {
            let patch = serde_saphyr::to_string(patch).unwrap_or_else(|_| patch.to_string());
            help.push(format!("Merge patch:\n{}", patch.trim_end()));
            markdown.push(format!("```yaml\n{}\n```", patch.trim_end()));
        }
        markdown.extend(remediation.cli.as_ref().map(|cli| format!("```sh\n{}\n```", cli.trim_end())));
        markdown.extend(remediation.terraform.as_ref().map(|text| format!("```hcl\n{}\n```", text.trim_end())));
    }
    let references = references(&rule.references);
    if !references.is_empty() {
        help.push(format!("See: {}", references.join("; ")));
        markdown.push(references.iter().map(|reference| format!("- {reference}")).collect::<Vec<_>>().join("\n"));
    }
    let text = |lines: Vec<String>| lines.into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join("\n\n");
    let (help, markdown) = (text(help), text(markdown));
    let or_title = |text: String| if text.is_empty() { rule.title.clone() } else { text };
    json!({
        "id": rule.id,
        "name": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": or_title(rule.rationale.clone())},
        "help": {"text": or_title(help), "markdown": or_title(markdown)},
        "defaultConfiguration": {"level": level(rule.severity)},
        "properties": {
            "precision": "very-high",
            "problem.severity": match level(rule.severity) { "error" => "error", "warning" => "warning", _ => "recommendation" },
            "security-severity": score(rule.severity),
            "tags": ["security", "kubernetes"],
        },
    })
}

fn result(finding: &Finding, rules: &BTreeMap<&str, usize>, places: &mut Places<'_>) -> Value {
    let control = finding.control.as_deref().unwrap_or_default();
    let said = finding.evidence.as_ref().map(|evidence| evidence.message.as_str()).filter(|text| !text.is_empty());
    let object = object(&finding.place);
    let text = said.map_or_else(|| format!("{object}: {}", finding.status), |said| format!("{object}: {said}"));
    let (kind, level) = match finding.status {
        Status::Unhealthy => ("fail", level(finding.severity)),
        Status::Healthy => ("pass", "none"),
        Status::NotApplicable => ("notApplicable", "none"),
        Status::Unknown => ("open", "none"),
        Status::Exempt => ("informational", "none"),
    };
    let mut result = json!({
        "ruleId": control,
        "kind": kind,
        "level": level,
        "message": {"text": text},
        "locations": [places.location(finding)],
        "partialFingerprints": {"object/v1": format!("{control}|{object}")},
        "properties": {"severity": finding.severity, "status": finding.status},
    });
    if let Some(index) = rules.get(control) {
        result["ruleIndex"] = (*index).into();
    }
    result
}

/// The lines of a document, and its first one in the file.
type Placed = (usize, Lines);

struct Places<'r> {
    run: &'r Run,
    /// By file and document, once they were needed.
    lines: BTreeMap<(Arc<str>, usize), Option<Placed>>,
}

impl Places<'_> {
    fn location(&mut self, finding: &Finding) -> Value {
        let place = &finding.place;
        let facts = finding.evidence.iter().flat_map(|evidence| &evidence.facts);
        let pointer = facts.filter(|fact| fact.resource.is_none()).map(|fact| fact.pointer.as_str()).next();
        let exact = pointer.and_then(|pointer| self.line(place, pointer));
        let mut location = json!({
            "physicalLocation": {"artifactLocation": {"uri": uri(&place.file)}},
            "logicalLocations": [{"name": place.name, "fullyQualifiedName": logical(place), "kind": "resource"}],
        });
        if let Some(line) = exact.or(place.line) {
            location["physicalLocation"]["region"] = json!({"startLine": line});
        }
        location
    }

    /// The line of a field. Items of a list are told by their documents alone, so those keep the document's line.
    fn line(&mut self, place: &Place, pointer: &str) -> Option<usize> {
        let key = (Arc::clone(&place.file), place.document?);
        let text = self.run.texts.get(&key);
        let lines =
            self.lines.entry(key).or_insert_with(|| text.and_then(|(first, text)| Some((*first, Lines::of(text)?))));
        let (first, lines) = lines.as_ref()?;
        if lines.line("/items") != lines.line("") || lines.line("/0") != lines.line("") {
            return None;
        }
        Some(first + lines.line(pointer) - 1)
    }
}

fn logical(place: &Place) -> String {
    [&place.namespace, &place.kind, &place.name]
        .into_iter()
        .filter(|part| !part.is_empty())
        .cloned()
        .collect::<Vec<_>>()
        .join("/")
}

/// A path as a relative reference, or as an address of its own when it is absolute.
fn uri(file: &str) -> String {
    if file == "-" {
        return STDIN.to_owned();
    }
    let path = file.strip_prefix("./").unwrap_or(file).replace('\\', "/");
    let mut uri = String::with_capacity(path.len());
    if path.starts_with('/') {
        uri.push_str("file://");
    }
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

fn notification(problem: &Problem) -> Value {
    let mut location = json!({"artifactLocation": {"uri": uri(&problem.file)}});
    if let Some(line) = problem.line {
        location["region"] = json!({"startLine": line});
    }
    json!({
        "level": "error",
        "message": {"text": problem.message},
        "locations": [{"physicalLocation": location}],
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn paths_become_addresses() {
        assert_eq!(super::uri("./a b/ü.yaml"), "a%20b/%C3%BC.yaml");
        assert_eq!(super::uri("/srv/x.yaml"), "file:///srv/x.yaml");
    }
}
