//! Frameworks: references lead somewhere, initiatives follow them, and what nothing answers is known.

use std::collections::{BTreeMap, BTreeSet};

use rampart_content::{Assessment, Catalogue, ContentError};

const CONTROL: &str = r#"
id: test.widget.open
version: 1
title: Open widget
severity: low
group: best_practices
type: data_plane
kinds: [k8s.service]
rationale: Widgets should be shut.
violation: object.open
message: "'the widget is open'"
evidence: [open]
remediation: { text: Shut it., patch: { open: false } }
references: { cis: { widgets-2: ['1.1'] }, azure_policy: ['95edb821-ddaf-4404-9732-666045e056b4'] }
examples:
  - { name: open, status: unhealthy, object: { open: true } }
  - { name: shut, status: healthy, object: { open: false } }
"#;

const FRAMEWORK: &str = "
id: widgets
title: Widgets
version: '2'
publisher: Us
references: cis.widgets-2
requirements:
  - { id: '1.1', title: Widgets are shut, assessment: automated }
  - id: '1.2'
    title: Widgets are locked
    assessment: automated
    same_as: { azure_policy: ['95edb821-ddaf-4404-9732-666045e056b4'] }
  - { id: '1.3', title: Widgets are liked, assessment: manual, reason: nobody asks widgets }
";

const INITIATIVE: &str = "
id: own
version: 1
title: Own
description: Ours.
framework: widgets
";

fn load(control: &str, framework: &str, initiative: &str) -> Result<Catalogue, ContentError> {
    let files = [
        ("groups.yaml", "- { id: best_practices, title: Best practices, points: 0 }"),
        ("controls/test/widget/open.yaml", control),
        ("frameworks/widgets.yaml", framework),
        ("initiatives/own.yaml", initiative),
    ];
    Catalogue::of_files(&files.map(|(path, text)| (path.to_owned(), text.to_owned())).into())
}

/// Changing `from` to `to` in one of the sound files gives one problem, `wanted`.
#[track_caller]
fn check(from: &str, to: &str, wanted: &str) {
    let change = |text: &str| text.replacen(from, to, 1);
    let changed = [CONTROL, FRAMEWORK, INITIATIVE].map(change);
    assert_ne!(changed, [CONTROL, FRAMEWORK, INITIATIVE], "`{from}` is nowhere");
    match load(&changed[0], &changed[1], &changed[2]) {
        Err(ContentError::Invalid(problems)) => {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            assert_eq!(problems, [wanted]);
        }
        other => panic!("wanted a problem, got {:?}", other.map(|_| ())),
    }
}

#[test]
fn mistakes_are_named() {
    let control = "controls/test/widget/open.yaml: references";
    let framework = "frameworks/widgets.yaml";
    check("['1.1']", "['9.9']", &format!("{control}.cis.widgets-2: no framework has a requirement `9.9`"));
    check("widgets-2: [", "gadgets-1: [", &format!("{control}.cis.gadgets-1: no framework has a requirement `1.1`"));
    check("{ cis:", "{ mcsb: [PV-2], cis:", &format!("{control}.mcsb: no framework has a requirement `PV-2`"));
    check("id: '1.2'", "id: '1.1'", &format!("{framework}: requirements.1.id: `1.1` is used twice"));
    check("Widgets are locked", "''", &format!("{framework}: requirements.1.title: is empty"));
    let reason = format!("{framework}: requirements.2.reason: belongs to a manual assessment, and every one has it");
    check(", reason: nobody asks widgets", "", &reason);
    check("assessment: manual", "assessment: automated", &reason);
    let dangling = format!("{framework}: requirements.1.same_as.nsa: no framework has a requirement `x`");
    check("same_as: {", "same_as: { nsa: [x],", &dangling);
    check("framework: widgets", "framework: gadgets", "initiatives/own.yaml: framework: no framework `gadgets`");
    check("framework: widgets", "controls: []", "initiatives/own.yaml: controls: selects no control");
    let problem = load(CONTROL, &FRAMEWORK.replace("cis.widgets-2", "widgets"), INITIATIVE).unwrap_err().to_string();
    assert!(problem.contains("`widgets` is none of cis.<benchmark>, nsa, mcsb, pss"), "{problem}");
}

#[test]
fn requirements_are_answered_by_name_and_by_what_means_the_same() {
    let catalogue = load(CONTROL, FRAMEWORK, INITIATIVE).unwrap();
    let (framework, control) =
        (catalogue.framework("widgets").unwrap(), catalogue.control("test.widget.open").unwrap());
    let answered: Vec<&str> = framework.answered_by(control).map(|requirement| requirement.id.as_str()).collect();
    assert_eq!(answered, ["1.1", "1.2"]);
    let other = load(&CONTROL.replace("cis: { widgets-2: ['1.1'] }, ", ""), FRAMEWORK, INITIATIVE).unwrap();
    let control = other.control("test.widget.open").unwrap();
    assert_eq!(framework.answered_by(control).count(), 1);
}

#[test]
fn an_initiative_selects_what_answers_its_framework_and_keeps_its_own_lines() {
    let chosen = |initiative: &str| {
        let catalogue = load(CONTROL, FRAMEWORK, initiative).unwrap();
        let initiative = catalogue.initiative("own").unwrap();
        initiative.controls.iter().map(|choice| (choice.id.clone(), choice.severity.is_some())).collect::<Vec<_>>()
    };
    assert_eq!(chosen(INITIATIVE), [("test.widget.open".to_owned(), false)]);
    let own = format!("{INITIATIVE}controls: [{{ id: 'test.*', severity: high }}]\n");
    assert_eq!(chosen(&own), [("test.*".to_owned(), true)]);
}

#[test]
fn built_in_initiatives_follow_their_frameworks() {
    let catalogue = Catalogue::embedded().unwrap_or_else(|error| panic!("{error}"));
    let chosen = |id: &str| {
        let initiative = catalogue.initiative(id).unwrap();
        initiative.controls.iter().map(|choice| choice.id.as_str()).collect::<BTreeSet<_>>()
    };
    assert!(chosen("cis-eks").contains("eks.access_entry_cluster_admin"));
    assert!(chosen("cis-eks").contains("k8s.pod.privileged"));
    assert!(!chosen("cis-eks").contains("k8s.pod.run_as_root"));
    assert!(chosen("cis-kubernetes").contains("k8s.pod.run_as_root"));
    assert!(chosen("cis-kubernetes").contains("k8s.rbac.csr_approval"), "by the section of another benchmark");
    assert!(chosen("mcsb-containers").contains("k8s.pod.readonly_rootfs"), "by the policy in Azure");
    assert!(chosen("nsa-cisa").contains("k8s.net.no_policy_in_namespace"));
    for framework in catalogue.frameworks() {
        assert!(
            framework.id == "pss" || catalogue.initiatives().any(|it| it.framework.as_ref() == Some(&framework.id)),
            "no initiative follows {}",
            framework.id
        );
    }
}

/// Members of Azure Policy's initiative of pods, by definition.
const BASELINE: [&str; 5] = [
    "95edb821-ddaf-4404-9732-666045e056b4",
    "82985f06-dc18-4a48-bc1c-b9f4f0098cfe",
    "47a1ee2f-2a2a-4576-bf2a-e0e36709c2b8",
    "c26596ff-4d70-4e6a-9a30-c2506bd2f80c",
    "098fc59e-46c7-4d99-9b16-64990e543d75",
];
const RESTRICTED: [&str; 8] = [
    "95edb821-ddaf-4404-9732-666045e056b4",
    "1c6e92c9-99f0-4e55-9cf2-0c234dc48f99",
    "82985f06-dc18-4a48-bc1c-b9f4f0098cfe",
    "47a1ee2f-2a2a-4576-bf2a-e0e36709c2b8",
    "c26596ff-4d70-4e6a-9a30-c2506bd2f80c",
    "16697877-1118-4fb1-9b65-9898ec2509ec",
    "f06ddb64-5fa3-4b77-b166-acb36f7f6042",
    "975ce327-682c-4f2e-aa46-b9598289b86c",
];

#[test]
fn initiatives_of_azure_have_the_members_that_azure_gives_them() {
    let catalogue = Catalogue::embedded().unwrap_or_else(|error| panic!("{error}"));
    for (id, members) in [("azure-pod-baseline", &BASELINE[..]), ("azure-pod-restricted", &RESTRICTED)] {
        let initiative = catalogue.initiative(id).unwrap();
        let of = |control: &str| &catalogue.control(control).unwrap().references.azure_policy;
        let referred: BTreeSet<&str> =
            initiative.controls.iter().flat_map(|it| of(&it.id)).map(String::as_str).collect();
        assert_eq!(referred, members.iter().copied().collect::<BTreeSet<_>>(), "{id}");
    }
}

/// How many requirements that controls should answer may be unanswered, per framework.
const GAPS: [(&str, usize); 7] = [
    ("cis-aks-1.8", 1),
    ("cis-eks-1.8.0", 0),
    ("cis-gke-1.9.0", 0),
    ("cis-kubernetes-1.12", 0),
    ("mcsb-containers", 0),
    ("nsa-cisa", 0),
    ("pss", 0),
];

#[test]
#[expect(clippy::print_stdout, reason = "who runs it alone wants to read the list")]
fn what_no_control_answers_is_known() {
    let catalogue = Catalogue::embedded().unwrap_or_else(|error| panic!("{error}"));
    let allowed = BTreeMap::from(GAPS);
    let mut over = Vec::new();
    for framework in catalogue.frameworks() {
        let answered: BTreeSet<&str> = catalogue
            .controls()
            .flat_map(|control| framework.answered_by(control))
            .map(|requirement| requirement.id.as_str())
            .collect();
        let wanted = framework.requirements.iter().filter(|it| it.assessment == Assessment::Automated);
        let gaps: Vec<&str> = wanted.map(|it| it.id.as_str()).filter(|id| !answered.contains(id)).collect();
        let report = format!("{}: open {gaps:?}", framework.id);
        println!("{report}; {} of {} answered", answered.len(), framework.requirements.len());
        if gaps.len() > allowed.get(framework.id.as_str()).copied().unwrap_or_default() {
            over.push(report);
        }
    }
    assert!(over.is_empty(), "more unanswered than is allowed:\n{}", over.join("\n"));
}
