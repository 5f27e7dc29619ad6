use std::io::{self, BufWriter, Write};

use rampart_domain::{Severity, Status};

use super::{object, references};
use crate::check::Run;
use crate::report::{Finding, Rule, Summary};
use crate::{CheckArgs, Terminal};

const RESET: &str = "\u{1b}[0m";
const BOLD: &str = "\u{1b}[1m";

/// Findings by file and object, for people, with a summary at the end.
pub(crate) fn write(run: &Run, args: &CheckArgs, terminal: &mut Terminal<'_>) -> io::Result<()> {
    let mut table = Table { colours: terminal.colours, out: BufWriter::new(&mut *terminal.stdout) };
    let findings = &run.report.findings;
    let width = findings.iter().filter_map(|finding| Some(finding.control.as_ref()?.len())).max().unwrap_or(0);
    let mut last: Option<&Finding> = None;
    for finding in findings {
        table.heading(finding, last)?;
        table.finding(finding, width)?;
        if args.explain
            && let Some(rule) = finding.explanation.as_deref()
        {
            table.explanation(rule)?;
        }
        last = Some(finding);
    }
    if last.is_some() {
        writeln!(table.out)?;
    }
    table.summary(&run.report.summary)?;
    table.out.flush()
}

struct Table<W: Write> {
    colours: bool,
    out: W,
}

impl<W: Write> Table<W> {
    fn paint(&self, colour: &'static str, text: &str) -> String {
        if self.colours && !colour.is_empty() { format!("{colour}{text}{RESET}") } else { text.to_owned() }
    }

    fn heading(&mut self, finding: &Finding, last: Option<&Finding>) -> io::Result<()> {
        let place = &finding.place;
        if last.is_none_or(|last| last.place.file != place.file) {
            let file = self.paint(BOLD, &place.file);
            writeln!(self.out, "{}{file}", if last.is_some() { "\n" } else { "" })?;
        }
        if place.kind.is_empty() || last.is_some_and(|last| last.place == *place) {
            return Ok(());
        }
        let line = place.line.map(|line| format!(", line {line}")).unwrap_or_default();
        let source = place.source.as_ref().map(|source| format!(", from {source}")).unwrap_or_default();
        writeln!(self.out, "  {}{line}{source}", object(place))
    }

    fn finding(&mut self, finding: &Finding, width: usize) -> io::Result<()> {
        let word = match finding.status {
            Status::Unhealthy => self.paint(colour(finding.severity), &format!("{:<13}", finding.severity.as_str())),
            status => format!("{:<13}", status.as_str().replace('_', " ")),
        };
        let control = finding.control.as_deref().unwrap_or_default();
        let message = finding.evidence.as_ref().map(|evidence| evidence.message.as_str()).unwrap_or_default();
        let line = format!("    {word}  {control:<width$}  {message}");
        writeln!(self.out, "{}", line.trim_end())
    }

    fn explanation(&mut self, rule: &Rule) -> io::Result<()> {
        self.paragraph(&rule.title)?;
        self.paragraph(&rule.rationale)?;
        if let Some(remediation) = &rule.remediation {
            self.paragraph(&format!("Remedy: {}", remediation.text.trim()))?;
            if let Some(patch) = &remediation.patch {
                self.block("Merge patch", &serde_saphyr::to_string(patch).unwrap_or_else(|_| patch.to_string()))?;
            }
            if let Some(manual) = &remediation.manual {
                self.paragraph(&format!("By hand: {}", manual.trim()))?;
            }
            let snippets = [("Command", &remediation.cli), ("Terraform", &remediation.terraform)];
            for (name, text) in snippets.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?))) {
                self.block(name, text)?;
            }
        }
        let references = references(&rule.references);
        if references.is_empty() { Ok(()) } else { self.paragraph(&format!("See: {}", references.join("; "))) }
    }

    fn paragraph(&mut self, text: &str) -> io::Result<()> {
        let mut line = String::new();
        for word in text.split_whitespace() {
            if line.len() + word.len() > 100 {
                writeln!(self.out, "        {line}")?;
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        if line.is_empty() { Ok(()) } else { writeln!(self.out, "        {line}") }
    }

    fn block(&mut self, name: &str, text: &str) -> io::Result<()> {
        writeln!(self.out, "        {name}:")?;
        text.trim_end().lines().try_for_each(|line| writeln!(self.out, "          {line}"))
    }

    fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        let out = &mut self.out;
        for skipped in &summary.skipped {
            let document = skipped.document.map(|document| format!(", document {document}")).unwrap_or_default();
            writeln!(out, "skipped: {}{document}: {}", skipped.file, skipped.reason)?;
        }
        let unhealthy = summary.statuses.get(&Status::Unhealthy).copied().unwrap_or_default();
        let severities = summary.severities.iter().rev().filter(|(_, count)| **count > 0);
        let severities: Vec<_> = severities.map(|(severity, count)| format!("{count} {severity}")).collect();
        let severities = if severities.is_empty() { String::new() } else { format!(" ({})", severities.join(", ")) };
        let rest = summary.statuses.iter().filter(|(status, count)| **status != Status::Unhealthy && **count > 0);
        let rest: Vec<_> =
            rest.map(|(status, count)| format!("{count} {}", status.as_str().replace('_', " "))).collect();
        writeln!(
            out,
            "{}, {}, {}: {}",
            counted(summary.files, "file"),
            counted(summary.documents, "document"),
            counted(summary.objects, "object"),
            [vec![format!("{unhealthy} unhealthy{severities}")], rest].concat().join(", "),
        )?;
        if !summary.errors.is_empty() {
            writeln!(out, "{} could not be read", counted(summary.errors.len(), "input"))?;
        }
        Ok(())
    }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

const fn colour(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "\u{1b}[1;31m",
        Severity::High => "\u{1b}[31m",
        Severity::Medium => "\u{1b}[33m",
        Severity::Low => "\u{1b}[36m",
        Severity::Informational => "",
    }
}
