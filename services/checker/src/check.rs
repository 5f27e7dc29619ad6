//! A run of `rampart check`.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::Utc;
use rampart_connector_kube::Manifests;
use rampart_content::Catalogue;
use rampart_domain::{Evidence, Family, Kind, Severity, Status};
use rampart_posture::policy::Inventory;
use rampart_posture::{CheckSet, Engine};

use crate::input::{bytes, input, problem};
use crate::judge::{Bench, Judged, Keep};
use crate::live::{self, Live};
use crate::neighbours::Estate;
use crate::object::{Contents, Texts, contents};
use crate::output;
use crate::policies::{self, Compared, Policies};
use crate::report::{Counts, Finding, Place, Problem, Report, Rule, Summary, filled};
use crate::select::{Wanted, select};
use crate::subject::{Reading, Subject, namespaces, others};
use crate::{CheckArgs, Exit, Output, Terminal, find, parallel};

/// Key under which literal values are hashed before anything looks at them. It guards nothing: no hash is ever printed.
const KEY: [u8; 32] = *b"rampart check prints no hash ...";

/// Judges manifests and writes the report.
pub fn check(args: &CheckArgs, terminal: &mut Terminal<'_>) -> Exit {
    let prepared = match Prepared::of(args) {
        Ok(prepared) => prepared,
        Err(problems) => {
            for problem in &problems {
                terminal.say(problem);
            }
            return Exit::Unusable;
        }
    };
    let run = prepared.run(args, terminal);
    for problem in &run.report.summary.errors {
        terminal.say(&problem.to_string());
    }
    let exit = match &run.report.summary {
        Summary { errors, .. } if !errors.is_empty() => Exit::Unusable,
        Summary { failed: 1.., .. } => Exit::Failed,
        _ => Exit::Passed,
    };
    let written = match args.output {
        Output::Table => output::table::write(&run, args, terminal),
        Output::Json => output::json::write(&run.report, terminal),
        Output::Sarif => output::sarif::write(&run, terminal),
        Output::Junit => output::junit::write(&run.report, terminal),
    };
    match written {
        // Who reads has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => exit,
        Err(error) => {
            terminal.say(&format!("the report could not be written: {error}"));
            Exit::Unusable
        }
        Ok(()) => exit,
    }
}

/// Everything that a command line selects.
struct Prepared {
    engine: Engine,
    checks: CheckSet,
    policies: Policies,
    rules: Rules,
}

/// A report, with the text that its findings point into.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) report: Report,
    /// By file and document: the first line, and the text.
    pub(crate) texts: BTreeMap<(Arc<str>, usize), (usize, String)>,
}

impl Prepared {
    fn of(args: &CheckArgs) -> Result<Self, Vec<String>> {
        let (engine, checks, mut rules) = parallel::aside(|| controls(args))?;
        let found = find::files(&args.policies);
        let files =
            parallel::map(found.files, |path| contents(&path.display().to_string(), bytes(&path), Texts::Dropped));
        let mut policies = policies::load(files);
        policies.problems.extend(found.problems.into_iter().map(problem));
        rules.extend(policies.loaded.iter().map(|loaded| named(loaded.rule.clone())));
        Ok(Self { engine, checks, policies, rules })
    }

    fn run(mut self, args: &CheckArgs, terminal: &mut Terminal<'_>) -> Run {
        let mut errors = std::mem::take(&mut self.policies.problems);
        let reading = Reading {
            manifests: Manifests::new(KEY),
            keep_written: !self.policies.loaded.is_empty(),
            neighbours: self.engine.neighbour_kinds().into_keys().collect(),
        };
        let files = input(args, &reading, terminal, &mut errors);
        let mut run = Tally { summary: summary(args), texts: BTreeMap::new(), order: BTreeMap::new() };
        run.summary.errors = errors;
        let mut blank = Vec::new();
        let mut subjects = Vec::new();
        for (file, own) in files {
            run.summary.objects += own.len();
            blank.extend(run.take(&file, args, terminal));
            subjects.extend(own);
        }
        let live = self.live(args, terminal, &mut run.summary.errors);
        let inventory = inventory(&subjects, &self.policies.compared);
        let own = subjects.iter().flat_map(|subject| &subject.units).map(|unit| &unit.resource);
        let bench = Bench {
            engine: &self.engine,
            checks: &self.checks,
            policies: &self.policies.loaded,
            inventory: &inventory,
            namespaces: namespaces(&subjects, &live.resources),
            estate: Estate::new(own.chain(others(&subjects, &live.resources)), live.complete),
            rules: &self.rules,
            now: Utc::now(),
            keep: if args.all || args.output == Output::Junit { Keep::All } else { Keep::Unhealthy },
            explain: args.explain,
        };
        let judged = parallel::map(subjects.iter().collect(), |subject| bench.judge(subject));
        run.report(judged, blank, self.rules, args)
    }

    /// The cluster's objects of the kinds that controls look at around an object.
    fn live(&self, args: &CheckArgs, terminal: &mut Terminal<'_>, errors: &mut Vec<Problem>) -> Live {
        let Some(kubeconfig) = &args.kubeconfig else { return Live::default() };
        let mut kinds: Vec<Kind> = self.engine.neighbour_kinds().into_keys().collect();
        kinds.retain(|kind| kind.family() == Family::Kubernetes);
        if !self.policies.loaded.is_empty() {
            kinds.push(Kind::K8sNamespace);
        }
        kinds.dedup();
        match live::read(kubeconfig, args.context.as_deref(), kinds, KEY) {
            Ok(live) => {
                live.warnings.iter().for_each(|warning| terminal.say(warning));
                live
            }
            Err(error) => {
                errors.push(problem((kubeconfig.clone(), format!("{error:#}"))));
                Live::default()
            }
        }
    }
}

/// What is to be said of each control, by id.
type Rules = BTreeMap<Arc<str>, Arc<Rule>>;

fn named(rule: Rule) -> (Arc<str>, Arc<Rule>) {
    (rule.id.as_str().into(), Arc::new(rule))
}

/// The controls that the command line selects. The catalogue goes again: its examples take more room than most input.
fn controls(args: &CheckArgs) -> Result<(Engine, CheckSet, Rules), Vec<String>> {
    let catalogue = match &args.content {
        Some(folder) => Catalogue::with_overrides(folder),
        None => Catalogue::embedded(),
    };
    let catalogue = catalogue.map_err(|error| vec![error.to_string()])?;
    let wanted = Wanted {
        initiatives: &args.initiatives,
        controls: &args.controls,
        params: &args.params,
        or_default: args.policies.is_empty(),
    };
    let (engine, checks) = select(&catalogue, &wanted)?;
    let selected = checks.checks().iter().filter_map(|check| catalogue.control(&check.control_id));
    let rules = selected.map(|control| named(Rule::of(control))).collect();
    Ok((engine, checks, rules))
}

fn inventory(subjects: &[Subject], compared: &Compared) -> Inventory {
    let held = subjects.iter().filter(|subject| compared.holds(&subject.place.kind));
    Inventory::new(held.filter_map(|subject| Some(subject.written.as_ref()?.value())).collect())
}

fn summary(args: &CheckArgs) -> Summary {
    Summary {
        files: 0,
        documents: 0,
        objects: 0,
        statuses: BTreeMap::new(),
        severities: BTreeMap::new(),
        fail_on: args.fail_on,
        failed: 0,
        skipped: Vec::new(),
        errors: Vec::new(),
    }
}

/// A report that is being put together.
struct Tally {
    summary: Summary,
    texts: BTreeMap<(Arc<str>, usize), (usize, String)>,
    /// Files as they came.
    order: BTreeMap<Arc<str>, usize>,
}

impl Tally {
    /// Notes what a file holds; findings for what of it is not judged, when every verdict is wanted.
    fn take(&mut self, file: &Contents, args: &CheckArgs, terminal: &mut Terminal<'_>) -> Vec<Finding> {
        let mut blank = Vec::new();
        file.warnings.iter().for_each(|warning| terminal.say(&warning.to_string()));
        self.summary.files += 1;
        self.summary.documents += file.documents;
        if args.all {
            let skipped = file.skipped.iter();
            blank.extend(skipped.map(|it| unjudged(&file.file, it.document, Status::NotApplicable, &it.reason)));
            blank.extend(file.problems.iter().map(|it| unjudged(&file.file, None, Status::Unknown, &it.message)));
        }
        self.summary.skipped.extend(file.skipped.iter().cloned());
        self.summary.errors.extend(file.problems.iter().cloned());
        let texts = file.texts.iter().enumerate().filter(|(_, (line, _))| *line > 0);
        self.texts.extend(texts.map(|(document, text)| ((Arc::clone(&file.file), document), text.clone())));
        let place = self.order.len();
        self.order.entry(Arc::clone(&file.file)).or_insert(place);
        blank
    }

    fn report(mut self, judged: Vec<Judged>, blank: Vec<Finding>, rules: Rules, args: &CheckArgs) -> Run {
        let mut counts = Counts::default();
        let mut findings = Vec::with_capacity(judged.iter().map(|judged| judged.findings.len()).sum::<usize>());
        for one in judged {
            counts.merge(&one.counts);
            findings.extend(one.findings);
        }
        findings.extend(blank);
        // What a document was not judged by comes after what it was.
        findings.sort_by_key(|finding| (self.order.get(&finding.place.file), finding.place.document));
        self.summary.failed = counts.failed(args.fail_on);
        self.summary.statuses = filled(Status::ALL, &counts.statuses);
        self.summary.severities = filled(Severity::ALL, &counts.severities);
        Run { report: Report { summary: self.summary, findings, rules }, texts: self.texts }
    }
}

/// Says of a file, or a document, why nothing judges it.
fn unjudged(file: &Arc<str>, document: Option<usize>, status: Status, reason: &str) -> Finding {
    Finding {
        place: Arc::new(Place {
            file: Arc::clone(file),
            document,
            kind: String::new(),
            namespace: String::new(),
            name: String::new(),
            line: None,
            source: None,
        }),
        control: None,
        severity: Severity::Informational,
        status,
        evidence: Some(Evidence { message: reason.to_owned(), facts: Vec::new(), elements: Vec::new() }),
        explanation: None,
    }
}
