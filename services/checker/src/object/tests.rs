use super::{Contents, Texts, contents};

fn read(file: &str, text: &str) -> Contents {
    contents(file, Ok(text.as_bytes().to_vec()), Texts::Kept)
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let contents = read("x.yaml", text);
    let found: Vec<_> = contents
        .objects
        .iter()
        .map(|object| {
            format!("{} {}/{}", object.value["apiVersion"].as_str().unwrap(), object.place.kind, object.place.name)
        })
        .collect();
    assert_eq!(found, expected, "{:?} {:?}", contents.problems, contents.skipped);
}

#[test]
fn lists_are_opened() {
    check(
        "kind: List\napiVersion: v1\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n\
         - {apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Service, metadata: {generateName: b-}}]}\n",
        &["v1 Pod/a", "v1 Service/b-"],
    );
    check("{kind: PodList, apiVersion: v1, items: [{metadata: {name: a}}]}", &["v1 Pod/a"]);
    check("[{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"a\"}}]", &["v1 Pod/a"]);
    check("{kind: AllowList, apiVersion: example.com/v1, metadata: {name: a}}", &["example.com/v1 AllowList/a"]);
}

#[test]
fn what_is_no_object_is_skipped_and_what_is_half_of_one_is_refused() {
    for (file, text) in [
        ("values.yaml", "replicas: 3\n"),
        ("Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n"),
        ("kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"),
        ("compose.yml", "services: {web: {image: nginx}}\n"),
        ("list.json", "[1, 2]"),
        ("empty.yaml", "# nothing\n"),
    ] {
        let contents = read(file, text);
        assert_eq!((contents.skipped.len(), contents.problems.len()), (1, 0), "{file}: {contents:?}");
    }
    for text in ["kind: Pod\n", "---\napiVersion: v1\nmetadata: {}\n", "apiVersion: v1\nkind: {}\n"] {
        let contents = read("x.yaml", text);
        assert_eq!((contents.skipped.len(), contents.problems.len()), (0, 1), "{text}: {contents:?}");
        assert!(contents.problems[0].line.is_some());
    }
}

#[test]
fn documents_keep_their_numbers_and_lines() {
    let text = "---\n# Source: web/templates/a.yaml\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\n---\n\
                apiVersion: v1\nkind: Pod\nmetadata: {name: b}\n";
    let contents = read("x.yaml", text);
    let places: Vec<_> =
        contents.objects.iter().map(|it| (it.place.document.unwrap(), it.place.line.unwrap())).collect();
    assert_eq!(places, [(0, 3), (2, 8)]);
    assert_eq!(contents.objects[0].place.source.as_deref(), Some("web/templates/a.yaml"));
    assert_eq!(contents.texts[2].0, 7);
}
