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
        let problem = &stated["responses"]["default"]["content"]["application/problem+json"]["schema"]["$ref"];
        assert_eq!(problem, "#/components/schemas/Problem", "{}", operation.id);
        assert_eq!(operation.path.matches('{').count(), count_path(stated), "{}", operation.id);
    }
    assert!(ids.len() > 40, "{}", ids.len());
}

fn count_path(stated: &serde_json::Value) -> usize {
    let parameters = stated["parameters"].as_array().cloned().unwrap_or_default();
    parameters.iter().filter(|parameter| parameter["in"] == "path").count()
}
