use std::path::Path;

/// Every operation: method, path, id, and the names of its path parameters.
pub(crate) struct Operation {
    pub method: axum::http::Method,
    pub path: String,
    pub id: String,
    pub is_list: bool,
    /// Whether the document says that no token is needed.
    pub is_public: bool,
}

pub(crate) fn operations() -> Vec<Operation> {
    let document = serde_json::to_value(rampart_api::openapi()).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            found.push(Operation {
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                id: operation["operationId"].as_str().unwrap().to_owned(),
                is_public: operation["security"] == serde_json::json!([{}]),
                is_list: parameters.iter().any(|parameter| parameter["name"] == "limit"),
            });
        }
    }
    found
}

#[test]
fn the_committed_document_is_the_one_that_the_code_makes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi/v1.json");
    let made = rampart_api::openapi().to_pretty_json().unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == made, "openapi/v1.json is out of date: run this test with UPDATE=1 and commit the file");
}

#[test]
fn operations_are_named_tagged_and_may_fail_in_one_form_only() {
    let document = serde_json::to_value(rampart_api::openapi()).unwrap();
    let mut ids = std::collections::BTreeSet::new();
    for operation in operations() {
        assert!(ids.insert(operation.id.clone()), "{} twice", operation.id);
        let stated = &document["paths"][&operation.path][operation.method.as_str().to_lowercase()];
        assert_eq!(stated["tags"].as_array().map(Vec::len), Some(1), "{}", operation.id);
        assert!(stated["summary"].as_str().is_some_and(|text| !text.is_empty()), "{}", operation.id);
        for (status, response) in stated["responses"].as_object().unwrap().iter().filter(|it| !it.0.starts_with('2')) {
            let name = response["$ref"].as_str().unwrap_or_default().rsplit('/').next().unwrap();
            let response = if name.is_empty() { response } else { &document["components"]["responses"][name] };
            let problem = &response["content"]["application/problem+json"];
            assert_eq!(problem["schema"]["$ref"], "#/components/schemas/Problem", "{} {status}", operation.id);
        }
        assert!(stated["responses"]["500"].is_object(), "{}", operation.id);
        assert_eq!(stated["responses"]["401"].is_null(), operation.is_public, "{}", operation.id);
        assert_eq!(operation.path.matches('{').count(), count_path(stated), "{}", operation.id);
    }
    assert!(ids.len() > 40, "{}", ids.len());
}

fn count_path(stated: &serde_json::Value) -> usize {
    let parameters = stated["parameters"].as_array().cloned().unwrap_or_default();
    parameters.iter().filter(|parameter| parameter["in"] == "path").count()
}

/// The names under which the sources of the API put shapes into its document.
fn schema_names(dir: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            schema_names(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let mut named: Option<Option<String>> = None;
        for line in text.lines().map(str::trim_start) {
            if line.starts_with("#[derive(") {
                named = line.contains("ToSchema").then_some(None);
            }
            let renamed = line.strip_prefix("#[schema(as = ").and_then(|rest| rest.split([')', ',']).next());
            if let (Some(own), Some(renamed)) = (&mut named, renamed) {
                *own = Some(renamed.to_owned());
            }
            let item = line.split_once("struct ").or_else(|| line.split_once("enum ")).map(|(_, rest)| rest);
            if let Some(item) = item.filter(|_| !line.starts_with("//"))
                && let Some(own) = named.take()
            {
                let name: String = item.chars().take_while(|c| c.is_alphanumeric()).collect();
                found.push(own.unwrap_or(name));
            }
        }
    }
}

#[test]
fn no_two_shapes_share_a_name() {
    let mut names = Vec::new();
    schema_names(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut names);
    assert!(names.len() > 200, "{}", names.len());
    // Words of one parameter stand with it, and have no name there.
    let document = serde_json::to_value(rampart_api::openapi()).unwrap();
    let is_shape = |name: &&String| document["components"]["schemas"][name.as_str()].is_object();
    let twice: std::collections::BTreeSet<_> =
        names.iter().filter(is_shape).filter(|name| names.iter().filter(|other| other == name).count() > 1).collect();
    assert!(twice.is_empty(), "the later one takes the place of the other in the document: {twice:?}");
}

#[test]
fn what_a_connector_reads_is_told_apart_by_its_provider() {
    let document = serde_json::to_value(rampart_api::openapi()).unwrap();
    let source = &document["components"]["schemas"]["Source"];
    assert_eq!(source["discriminator"]["propertyName"], "provider");
    for (word, place) in source["discriminator"]["mapping"].as_object().unwrap() {
        let name = place.as_str().unwrap().rsplit('/').next().unwrap();
        let variant = &document["components"]["schemas"][name];
        assert_eq!(variant["properties"]["provider"]["enum"], serde_json::json!([word]), "{name}");
        assert!(variant["required"].as_array().unwrap().contains(&"provider".into()), "{name}");
    }
}
