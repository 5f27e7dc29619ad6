//! Loading: what is built in is sound, overrides take its place, and every mistake is named with file and field.
use std::fs;

use rampart_content::{Catalogue, ContentError};
use rampart_domain::Kind;
use tempfile::TempDir;

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
examples:
  - { name: open, status: unhealthy, object: { open: true } }
  - { name: shut, status: healthy, object: { open: false } }
"#;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

#[track_caller]
fn problems(files: &[(&str, &str)]) -> Vec<String> {
    match Catalogue::with_overrides(folder(files).path()) {
        Err(ContentError::Invalid(problems)) => problems.iter().map(ToString::to_string).collect(),
        other => panic!("wanted problems, got {:?}", other.map(|_| ())),
    }
}

/// Changing `from` to `to` in a sound control gives one problem that has all of `words`.
#[track_caller]
fn check(from: &str, to: &str, words: &[&str]) {
    assert!(CONTROL.contains(from), "`{from}` is not in the control");
    let problems = problems(&[("controls/test/widget/open.yaml", &CONTROL.replacen(from, to, 1))]);
    assert_eq!(problems.len(), 1, "{problems:?}");
    for word in words.iter().chain(&["controls/test/widget/open.yaml"]) {
        assert!(problems[0].contains(word), "`{word}` is not in {}", problems[0]);
    }
}

#[test]
fn what_is_built_in_loads() {
    let catalogue = Catalogue::embedded().unwrap_or_else(|error| panic!("{error}"));
    assert!(catalogue.control("k8s.pod.privileged").is_some());
    assert_eq!(catalogue.group("vulnerabilities").map(|group| group.points), Some(6));
    assert_eq!(catalogue.groups().iter().map(|group| group.points).sum::<u32>(), 25);
    assert!(catalogue.initiative("rampart-default").is_some());
}

#[test]
fn a_folder_adds_and_replaces() {
    let built_in = Catalogue::embedded().unwrap();
    let dir = folder(&[("controls/test/widget/open.yaml", CONTROL), ("notes.txt", "not content")]);
    let catalogue = Catalogue::with_overrides(dir.path()).unwrap();
    assert_eq!(catalogue.controls().len(), built_in.controls().len() + 1);
    assert_eq!(catalogue.control("test.widget.open").unwrap().title, "Open widget");
    assert_ne!(catalogue.version(), built_in.version());
}

#[test]
fn words_for_people_do_not_change_the_version_and_conditions_do() {
    let version = |text: &str| {
        let dir = folder(&[("controls/test/widget/open.yaml", text)]);
        Catalogue::with_overrides(dir.path()).unwrap().control_version("test.widget.open").unwrap()
    };
    let plain = version(CONTROL);
    assert_eq!(plain, version(&CONTROL.replace("Widgets should", "All widgets should")));
    assert_ne!(plain, version(&CONTROL.replace("object.open", "object.open == true")));
    assert_ne!(plain, version(&CONTROL.replace("version: 1", "version: 2")));
}

#[test]
fn mistakes_are_named_with_file_and_field() {
    check("id: test.widget.open", "id: test.widget.closed", &["id: `test.widget.closed` differs from the path"]);
    check("violation:", "violatoin:", &["violatoin", "line 10"]);
    check("severity: low", "severity: lowest", &["lowest", "line 5"]);
    check("[k8s.service]", "[k8s.servise]", &["unknown kind `k8s.servise`"]);
    check("group: best_practices", "group: worst_practices", &["group: no group `worst_practices`"]);
    check("status: unhealthy", "status: healthy", &["examples: has no unhealthy example"]);
    check("violation: object.open\n", "", &["missing field `violation`"]);
    check("name: shut", "name: open", &["examples.1.name: `open` is used twice"]);
    check(", patch: { open: false }", "", &["remediation: has exactly one of"]);
    check("evidence:", "references: { mitre: [X1] }\nevidence:", &["references.mitre: `X1` is malformed"]);
    check("object: { open: true }", "params: { x: 1 }, object: { open: true }", &["no parameter `x`"]);
    check("kinds: [k8s.service]", "kinds: &k [k8s.service]\nfor_each: *k", &[]);
}

const VARIANTS: &str = r#"
id: test.widget.open
version: 1
title: Open widget
severity: low
group: best_practices
type: control_plane
rationale: Widgets should be shut.
variants:
  - kinds: [aws.eks.cluster]
    violation: object.open
    message: "'open'"
    remediation: { patch: { open: false } }
  - kinds: [azure.aks.cluster]
    neighbours: { plans: { kinds: [azure.security.plan], in: unit } }
    violation: object.properties.open
    message: "'open'"
    remediation: { text: Shut it in the portal., manual: No field does it. }
remediation: { text: Shut it. }
examples:
  - { name: open, status: unhealthy, object: { open: true } }
  - { name: shut, status: healthy, object: { open: false } }
  - { name: open there, kind: azure.aks.cluster, status: unhealthy, object: {}, neighbours: { plans: [] } }
  - { name: shut there, kind: azure.aks.cluster, status: healthy, object: {} }
"#;

#[test]
fn variants_are_controls_of_their_kinds() {
    let dir = folder(&[("controls/test/widget/open.yaml", VARIANTS)]);
    let catalogue = Catalogue::with_overrides(dir.path()).unwrap();
    let control = catalogue.control("test.widget.open").unwrap();
    let text = |kind: Kind| control.variant(kind).map(|variant| variant.remediation.text.as_str());
    assert_eq!(text(Kind::AwsEksCluster), Some("Shut it."), "the control's, as the variant has none of its own");
    assert_eq!(text(Kind::AzureAksCluster), Some("Shut it in the portal."));
    assert_eq!(text(Kind::GcpGkeCluster), None);
    let check = |from: &str, to: &str, words: &str| {
        assert!(VARIANTS.contains(from), "`{from}` is not in the control");
        let problems = problems(&[("controls/test/widget/open.yaml", &VARIANTS.replacen(from, to, 1))]);
        assert!(problems.iter().any(|problem| problem.contains(words)), "`{words}` is not in {problems:?}");
    };
    check("variants:", "evidence: [open]\nvariants:", "`evidence` stands beside `variants`");
    check("{ text: Shut it. }", "{ text: Shut it., cli: shut }", "`remediation` beside `variants` has a text only");
    check("variants:", "variant:", "variant");
    check(", manual: No field does it.", "", "variants.1.remediation: has exactly one of");
    check("[azure.aks.cluster]", "[aws.eks.cluster]", "variants.1.kinds: another variant judges `aws.eks.cluster` too");
    check("status: unhealthy, object: {}", "status: healthy, object: {}", "has no unhealthy example of variant 1");
    check("object: { open: true }", "object: {}, neighbours: { plans: [] }", "no neighbour `plans` is declared");
    check(", kind: azure.aks.cluster", ", kind: gcp.gke.cluster", "`gcp.gke.cluster` is not judged");
}

#[test]
fn initiatives_select_what_exists() {
    let initiative =
        |id: &str| format!("id: own\nversion: 1\ntitle: Own\ndescription: Ours.\ncontrols: [{{ id: {id} }}]\n");
    let with =
        |id: &str| problems(&[("controls/test/widget/open.yaml", CONTROL), ("initiatives/own.yaml", &initiative(id))]);
    assert_eq!(with("test.gadget.*"), ["initiatives/own.yaml: controls.0.id: `test.gadget.*` selects no control"]);
    let dir = folder(&[("controls/test/widget/open.yaml", CONTROL), ("initiatives/own.yaml", &initiative("test.*"))]);
    assert!(Catalogue::with_overrides(dir.path()).is_ok());
}

#[test]
fn an_initiative_hands_its_parameters_on() {
    let control = CONTROL.replace(
        "evidence:",
        "parameters: { at: { type: kubernetes_version, default: latest, description: At. } }\nevidence:",
    );
    let initiative = |parameters: &str, value: &str| {
        format!(
            "id: own\nversion: 1\ntitle: Own\ndescription: Ours.\nparameters: {parameters}\n\
             controls: [{{ id: test.widget.open, params: {{ at: {value} }} }}]\n"
        )
    };
    let with = |parameters: &str, value: &str| {
        let initiative = initiative(parameters, value);
        problems(&[("controls/test/widget/open.yaml", &control), ("initiatives/own.yaml", &initiative)])
    };
    let version = "{ version: { type: kubernetes_version, default: v1.30, description: V. } }";
    let of = |field: &str, message: &str| [format!("initiatives/own.yaml: {field}: {message}")];
    let place = "controls.0.params.at";
    assert_eq!(with("{}", "$version"), of(place, "the initiative has no parameter `version`"));
    assert_eq!(with("{}", "v1.99"), of(place, "is not a Kubernetes version: latest, or v1.0 to v1.38"));
    assert_eq!(with(version, "v1.30"), of("parameters.version", "is handed on to no control"));
    let text = "{ version: { type: string, default: v1.30, description: V. } }";
    let message = "parameter `version` of the initiative is not a Kubernetes version: latest, or v1.0 to v1.38";
    assert_eq!(with(text, "$version"), of(place, message));
    let sound = initiative(version, "$version");
    let dir = folder(&[("controls/test/widget/open.yaml", &control), ("initiatives/own.yaml", &sound)]);
    assert!(Catalogue::with_overrides(dir.path()).is_ok());
    let wrong = "{ version: { type: kubernetes_version, default: '1.30', description: V. } }";
    assert!(with(wrong, "$version")[0].starts_with("initiatives/own.yaml: parameters.version.default: is not a"));
}
