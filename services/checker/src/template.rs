//! Pod templates of kinds that no scan reads: custom resources whose controllers run pods.

use serde_json::{Map, Value, json};

/// How deep below an object a template is looked for.
const MAX_DEPTH: usize = 12;
/// Templates of one object.
const MAX_TEMPLATES: usize = 64;

/// A pod template, brought to where that of a deployment lies.
#[derive(Debug)]
pub(crate) struct Template {
    /// The object with the template at `/spec/template`, and nothing else of its own spec.
    pub(crate) object: Value,
    /// Where its parts were in the object as written.
    pub(crate) origins: Origins,
}

/// Pointers in a rearranged object, and where they lead in the one that was written.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Origins(Vec<(String, String)>);

impl Origins {
    /// The pointer as the object was written.
    pub(crate) fn original(&self, pointer: &str) -> String {
        let below = |prefix: &str| {
            pointer.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/')).map(str::to_owned)
        };
        let known = self.0.iter().filter_map(|(here, there)| Some((here.len(), there, below(here)?)));
        let longest = known.max_by_key(|(length, ..)| *length);
        longest.map_or_else(|| pointer.to_owned(), |(_, there, rest)| format!("{there}{rest}"))
    }

    fn add(&mut self, here: &str, there: impl Into<String>) {
        self.0.push((here.to_owned(), there.into()));
    }
}

/// The pod templates of an object of an unknown kind.
pub(crate) fn templates(object: &Value) -> Vec<Template> {
    let group = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    let group = group.split_once('/').map_or("", |(group, _)| group);
    let mut finder = Finder { object, found: Vec::new() };
    match (group, kind) {
        ("argoproj.io", "Workflow" | "WorkflowTemplate" | "ClusterWorkflowTemplate") => finder.workflow("/spec"),
        ("argoproj.io", "CronWorkflow") => finder.workflow("/spec/workflowSpec"),
        ("tekton.dev", _) => finder.walk(object, "", 0, Finder::tekton),
        _ => finder.walk(object, "", 0, Finder::pod_spec),
    }
    finder.found
}

struct Finder<'o> {
    object: &'o Value,
    found: Vec<Template>,
}

/// Pod as it is put together, with the places that its parts are from.
#[derive(Default)]
struct Pod {
    spec: Map<String, Value>,
    containers: Vec<(Value, String)>,
    init_containers: Vec<(Value, String)>,
    volumes: Vec<(Value, String)>,
}

impl<'o> Finder<'o> {
    /// Visits every object below; `visit` says whether it took one, which is then not looked into.
    fn walk(
        &mut self,
        value: &'o Value,
        pointer: &str,
        depth: usize,
        visit: fn(&mut Self, &'o Map<String, Value>, &str) -> bool,
    ) {
        if depth > MAX_DEPTH || self.found.len() >= MAX_TEMPLATES {
            return;
        }
        match value {
            Value::Object(map) => {
                if visit(self, map, pointer) {
                    return;
                }
                for (key, value) in map.iter().filter(|(key, _)| depth > 0 || !matches!(&***key, "metadata" | "status"))
                {
                    let key = key.replace('~', "~0").replace('/', "~1");
                    self.walk(value, &format!("{pointer}/{key}"), depth + 1, visit);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.walk(item, &format!("{pointer}/{index}"), depth + 1, visit);
                }
            }
            _ => {}
        }
    }

    /// A pod spec: it has containers, each with an image. What only overrides fields of containers is none.
    fn pod_spec(&mut self, map: &'o Map<String, Value>, pointer: &str) -> bool {
        let containers = map.get("containers").and_then(Value::as_array);
        if !containers.is_some_and(|containers| !containers.is_empty() && containers.iter().all(has_image)) {
            return false;
        }
        let mut origins = Origins::default();
        let template = pointer.strip_suffix("/spec").filter(|parent| !parent.is_empty());
        let metadata = template.and_then(|parent| self.object.pointer(parent)?.get("metadata")).cloned();
        if let Some(parent) = template {
            origins.add("/spec/template", parent);
        }
        origins.add("/spec/template/spec", pointer);
        self.push(metadata, map.clone(), origins);
        true
    }

    /// A task: its steps are the containers of one pod.
    fn tekton(&mut self, map: &'o Map<String, Value>, pointer: &str) -> bool {
        let Some(steps) = map.get("steps").and_then(Value::as_array) else { return false };
        let shared = ["/spec/podTemplate", "/spec/taskRunTemplate/podTemplate"];
        let shared = shared.iter().find_map(|at| self.object.pointer(at)?.as_object());
        let mut pod = Pod { spec: shared.cloned().unwrap_or_default(), ..Pod::default() };
        let defaults = map.get("stepTemplate").and_then(Value::as_object);
        for (index, step) in steps.iter().enumerate().filter(|(_, step)| has_image(step)) {
            let mut step = step.clone();
            if let (Some(step), Some(defaults)) = (step.as_object_mut(), defaults) {
                for (key, value) in defaults {
                    step.entry(key.clone()).or_insert_with(|| value.clone());
                }
            }
            pod.containers.push((step, format!("{pointer}/steps/{index}")));
        }
        pod.list(map.get("sidecars"), &format!("{pointer}/sidecars"), |pod| &mut pod.containers);
        pod.list(map.get("volumes"), &format!("{pointer}/volumes"), |pod| &mut pod.volumes);
        self.pod(pod, pointer);
        true
    }

    /// A workflow: every template with a container or a script is a pod.
    fn workflow(&mut self, base: &str) {
        let Some(spec) = self.object.pointer(base) else { return };
        let templates = spec.get("templates").and_then(Value::as_array);
        for (index, template) in templates.into_iter().flatten().enumerate().take(MAX_TEMPLATES) {
            let pointer = format!("{base}/templates/{index}");
            let mut pod = Pod::default();
            for field in ["container", "script"] {
                if let Some(container) = template.get(field).filter(|container| has_image(container)) {
                    let mut container = container.clone();
                    container.as_object_mut().map(|map| map.entry("name").or_insert_with(|| "main".into()));
                    pod.containers.push((container, format!("{pointer}/{field}")));
                }
            }
            let set = template.pointer("/containerSet/containers");
            pod.list(set, &format!("{pointer}/containerSet/containers"), |pod| &mut pod.containers);
            if pod.containers.is_empty() {
                continue;
            }
            pod.list(template.get("sidecars"), &format!("{pointer}/sidecars"), |pod| &mut pod.containers);
            pod.list(template.get("initContainers"), &format!("{pointer}/initContainers"), |pod| {
                &mut pod.init_containers
            });
            pod.list(spec.get("volumes"), &format!("{base}/volumes"), |pod| &mut pod.volumes);
            pod.list(template.get("volumes"), &format!("{pointer}/volumes"), |pod| &mut pod.volumes);
            for field in
                ["securityContext", "serviceAccountName", "automountServiceAccountToken", "hostNetwork", "nodeSelector"]
            {
                if let Some(value) = template.get(field).or_else(|| spec.get(field)) {
                    pod.spec.insert(field.to_owned(), value.clone());
                }
            }
            self.pod(pod, &pointer);
        }
    }

    fn pod(&mut self, pod: Pod, pointer: &str) {
        if pod.containers.is_empty() {
            return;
        }
        let mut origins = Origins::default();
        origins.add("/spec/template/spec", pointer);
        let mut spec = pod.spec;
        let lists = [("containers", pod.containers), ("initContainers", pod.init_containers), ("volumes", pod.volumes)];
        for (list, items) in lists.into_iter().filter(|(_, items)| !items.is_empty()) {
            let mut values = Vec::new();
            for (index, (value, there)) in items.into_iter().enumerate() {
                origins.add(&format!("/spec/template/spec/{list}/{index}"), there);
                values.push(value);
            }
            spec.insert(list.to_owned(), values.into());
        }
        self.push(None, spec, origins);
    }

    fn push(&mut self, metadata: Option<Value>, spec: Map<String, Value>, origins: Origins) {
        let mut template = json!({"spec": Value::Object(spec)});
        if let Some(metadata) = metadata {
            template["metadata"] = metadata;
        }
        let mut object = json!({"spec": {"template": template}});
        for field in ["apiVersion", "kind", "metadata"] {
            if let Some(value) = self.object.get(field) {
                object[field] = value.clone();
            }
        }
        self.found.push(Template { object, origins });
    }
}

impl Pod {
    fn list(&mut self, items: Option<&Value>, pointer: &str, into: fn(&mut Self) -> &mut Vec<(Value, String)>) {
        for (index, item) in items.and_then(Value::as_array).into_iter().flatten().enumerate() {
            into(self).push((item.clone(), format!("{pointer}/{index}")));
        }
    }
}

fn has_image(container: &Value) -> bool {
    container.get("image").is_some_and(Value::is_string)
}

#[cfg(test)]
mod tests;
