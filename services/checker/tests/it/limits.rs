//! Input that nobody meant to be read: bombs, loops, streams of other kinds.

use std::fmt::Write as _;

use crate::run::{Files, check};

const ONE: [&str; 4] = ["--control", "k8s.pod.privileged", "-o", "json"];

#[cfg(unix)]
#[test]
fn links_that_lead_back_are_walked_once() {
    let files = Files::of(&[("a/b/x.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n")]);
    let root = std::path::PathBuf::from(files.path("a"));
    std::os::unix::fs::symlink(&root, root.join("b/loop")).unwrap();
    std::os::unix::fs::symlink(root.join("nowhere"), root.join("gone.yaml")).unwrap();
    let ran = check(&files, &[&["a"], &ONE[..]].concat());
    assert_eq!(ran.code, 2, "a link to nothing is an input that cannot be read");
    assert_eq!(ran.json()["summary"]["objects"], 1);
}

#[test]
fn aliases_and_nesting_are_bounded() {
    let mut bomb =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\na0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let list = vec![format!("*a{}", level - 1); 9].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{list}]").unwrap();
    }
    let deep = format!("{{\"apiVersion\": \"v1\", \"kind\": \"X\", \"a\": {}1{}}}", "[".repeat(5000), "]".repeat(5000));
    let mut lists = "{kind: Pod, apiVersion: v1}".to_owned();
    for _ in 0..40 {
        lists = format!("{{kind: List, apiVersion: v1, items: [{lists}]}}");
    }
    let files = Files::of(&[("bomb.yaml", &bomb), ("deep.json", &deep), ("lists.yaml", &lists), ("empty/x.txt", "")]);
    let ran = check(&files, &[&["bomb.yaml", "deep.json", "lists.yaml", "empty"], &ONE[..]].concat());
    assert_eq!((ran.code, ran.json()["summary"]["errors"].as_array().unwrap().len()), (2, 4), "{}", ran.stderr);
}

#[test]
fn nothing_selected_looks_at_the_whole_catalogue() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {generateName: job-}\nspec: {containers: [{image: a}]}\n";
    let files = Files::of(&[("pod.yaml", pod)]);
    let report = check(&files, &["pod.yaml", "--all", "-o", "json"]).json();
    let findings = report["findings"].as_array().unwrap();
    assert!(findings.len() > 30 && findings.iter().all(|finding| finding["name"] == "job-"));
    assert!(findings.iter().all(|finding| finding["namespace"] == ""), "as it was written");
    let default = findings.iter().find(|finding| finding["control"] == "k8s.pod.default_namespace").unwrap();
    assert_eq!(default["status"], "unhealthy");
}
