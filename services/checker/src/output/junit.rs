use std::io::{self, BufWriter, Write};

use rampart_domain::Status;

use super::object;
use crate::Terminal;
use crate::report::{Finding, Problem, Report};

/// The report as `JUnit` XML: a suite per file, a case per object and control.
pub(crate) fn write(report: &Report, terminal: &mut Terminal<'_>) -> io::Result<()> {
    let mut out = BufWriter::new(&mut *terminal.stdout);
    let mut suites: Vec<Suite<'_>> = Vec::new();
    for finding in &report.findings {
        suite(&mut suites, &finding.place.file).findings.push(finding);
    }
    for error in &report.summary.errors {
        suite(&mut suites, &error.file).errors.push(error);
    }
    let totals = suites.iter().fold(Totals::default(), |sum, suite| sum.plus(suite.totals()));
    writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
    writeln!(out, r#"<testsuites name="rampart check" {totals}>"#)?;
    for suite in &suites {
        suite.write(&mut out)?;
    }
    writeln!(out, "</testsuites>")?;
    out.flush()
}

struct Suite<'r> {
    file: &'r str,
    findings: Vec<&'r Finding>,
    errors: Vec<&'r Problem>,
}

fn suite<'s, 'r>(suites: &'s mut Vec<Suite<'r>>, file: &'r str) -> &'s mut Suite<'r> {
    // Findings come file by file; errors are few.
    let known = suites.iter().rposition(|suite| suite.file == file);
    let index = known.unwrap_or_else(|| {
        suites.push(Suite { file, findings: Vec::new(), errors: Vec::new() });
        suites.len() - 1
    });
    &mut suites[index]
}

#[derive(Default, Clone, Copy)]
struct Totals {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
}

impl Totals {
    const fn plus(self, other: Self) -> Self {
        Self {
            tests: self.tests + other.tests,
            failures: self.failures + other.failures,
            errors: self.errors + other.errors,
            skipped: self.skipped + other.skipped,
        }
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { tests, failures, errors, skipped } = self;
        write!(f, r#"tests="{tests}" failures="{failures}" errors="{errors}" skipped="{skipped}""#)
    }
}

impl Suite<'_> {
    fn totals(&self) -> Totals {
        let of = |wanted: &[Status]| self.findings.iter().filter(|finding| wanted.contains(&finding.status)).count();
        Totals {
            tests: self.findings.len() + self.errors.len(),
            failures: of(&[Status::Unhealthy]),
            errors: self.errors.len(),
            skipped: of(&[Status::NotApplicable, Status::Unknown, Status::Exempt]),
        }
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, r#"  <testsuite name="{}" {}>"#, escaped(self.file), self.totals())?;
        for finding in &self.findings {
            case(finding, out)?;
        }
        for error in &self.errors {
            let at = error.line.map(|line| format!("line {line}: ")).unwrap_or_default();
            let message = escaped(&format!("{at}{}", error.message));
            writeln!(out, r#"    <testcase classname="{}" name="input">"#, escaped(self.file))?;
            writeln!(out, r#"      <error message="{message}" type="input"/>"#)?;
            writeln!(out, "    </testcase>")?;
        }
        writeln!(out, "  </testsuite>")
    }
}

fn case(finding: &Finding, out: &mut impl Write) -> io::Result<()> {
    let class = escaped(&object(&finding.place));
    let name = escaped(finding.control.as_deref().unwrap_or("input"));
    write!(out, r#"    <testcase classname="{class}" name="{name}""#)?;
    let message = finding.evidence.as_ref().map(|evidence| escaped(&evidence.message)).unwrap_or_default();
    match finding.status {
        Status::Healthy => return writeln!(out, "/>"),
        Status::Unhealthy => {
            writeln!(out, ">")?;
            let text = escaped(&details(finding));
            writeln!(out, r#"      <failure message="{message}" type="{}">{text}</failure>"#, finding.severity)?;
        }
        Status::NotApplicable | Status::Unknown | Status::Exempt => {
            writeln!(out, ">")?;
            let status = finding.status.as_str().replace('_', " ");
            writeln!(out, r#"      <skipped message="{status}: {message}"/>"#)?;
        }
    }
    writeln!(out, "    </testcase>")
}

/// Where, and by what fields.
fn details(finding: &Finding) -> String {
    let mut lines = Vec::new();
    let line = finding.place.line.map(|line| format!(":{line}")).unwrap_or_default();
    lines.push(format!("{}{line}", finding.place.file));
    for fact in finding.evidence.iter().flat_map(|evidence| &evidence.facts) {
        let value = fact.value.as_ref().map_or_else(|| "absent".to_owned(), ToString::to_string);
        lines.push(format!("{} = {value}", fact.pointer));
    }
    if let Some(rule) = finding.explanation.as_deref() {
        lines.push(rule.rationale.clone());
        lines.extend(rule.remediation.as_ref().map(|remediation| remediation.text.trim().to_owned()));
    }
    lines.join("\n")
}

/// Text as XML has it. Characters that XML 1.0 cannot hold are replaced.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' | '\r' => escaped.push(' '),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    #[test]
    fn text_is_escaped() {
        assert_eq!(super::escaped("a<b> & \"c\"\u{1}"), "a&lt;b&gt; &amp; &quot;c&quot;\u{fffd}");
    }
}
