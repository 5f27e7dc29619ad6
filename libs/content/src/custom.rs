use std::collections::BTreeMap;
use std::sync::Arc;

use rampart_domain::ConfigHash;

use crate::catalogue::{control_file, version};
use crate::document::{Documents, SourceProblem, on_deep_stack, options, pointer_of, unreadable};
use crate::lint::lint;
use crate::{Catalogue, Control, Problem};

/// What the ids of customers' controls begin with.
pub const CUSTOM: &str = "custom.";
/// What the ids of imported policies begin with.
pub const POLICY: &str = "policy.";
/// Longest id of a customer's control in bytes.
const MAX_ID: usize = 100;
/// Values in the source of one control.
const MAX_NODES: usize = 20_000;

impl Catalogue {
    /// Reads a control that a customer wrote, in the format of the built-in ones. Its id begins with [`CUSTOM`].
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place; only the first that keeps it from being read at all.
    pub fn parse_custom(&self, text: &str) -> Result<Control, Vec<SourceProblem>> {
        let documents = Documents::read(text).map_err(|problem| vec![problem])?;
        if documents.values().len() != 1 {
            return Err(vec![documents.problem(0, "", None, "a source holds one control")]);
        }
        let control = on_deep_stack(|| {
            let read = serde_saphyr::from_str_with_options::<Control>(text, options(MAX_NODES));
            read.map_err(|error| unreadable(&error))
        });
        let control = control.map_err(|problem| vec![problem])?;
        let mut problems = Vec::new();
        if !is_custom_id(&control.id) {
            let message = format!(
                "begins with `{CUSTOM}` and goes on with words of lower-case letters, digits and `_`, parted by dots, \
                 {MAX_ID} bytes in all"
            );
            problems.push(documents.problem(0, "/id", None, message));
        }
        let mut found = Vec::new();
        let controls = BTreeMap::from([(control_file(&control.id), control)]);
        let frameworks = self.frameworks().map(|framework| (framework.file(), framework.clone())).collect();
        lint(&controls, &frameworks, &BTreeMap::default(), self.groups(), &mut found);
        let place = |problem: &Problem| documents.problem(0, &pointer_of(&problem.field), None, &problem.message);
        problems.extend(found.iter().map(place));
        match controls.into_values().next() {
            Some(control) if problems.is_empty() => Ok(control),
            _ => Err(problems),
        }
    }

    /// This catalogue with what a customer wrote beside it: controls, each with the fingerprint of what decides their
    /// verdicts. Frameworks and initiatives stay as they are. A control whose id is taken is left out.
    #[must_use]
    pub fn with_custom(&self, custom: impl IntoIterator<Item = (Control, ConfigHash)>) -> Self {
        let mut all = self.clone();
        for (control, version) in custom {
            if !all.controls.contains_key(&control.id) {
                all.versions.insert(control.id.clone(), version);
                all.controls.insert(control.id.clone(), Arc::new(control));
            }
        }
        all
    }
}

impl Control {
    /// Fingerprint of everything that can change a verdict or its evidence.
    pub fn fingerprint(&self) -> ConfigHash {
        version(self)
    }

    /// Whether a customer wrote it.
    pub fn is_custom(&self) -> bool {
        is_custom(&self.id)
    }

    /// Whether it stands for a policy in another format, so that its conditions are not its own.
    pub fn is_imported(&self) -> bool {
        self.id.starts_with(POLICY)
    }
}

/// Whether the id is one of a customer's control or imported policy.
pub fn is_custom(id: &str) -> bool {
    id.starts_with(CUSTOM) || id.starts_with(POLICY)
}

fn is_custom_id(id: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    id.len() <= MAX_ID && id.strip_prefix(CUSTOM).is_some_and(|rest| rest.split('.').all(word))
}

#[cfg(test)]
mod tests {
    use rampart_domain::hash_json;

    use crate::{Catalogue, SourceProblem};

    const GOOD: &str = "\
id: custom.owner
version: 1
title: Workload without an owner
severity: medium
group: security_configurations
type: data_plane
kinds: [workload]
rationale: Somebody must be asked.
violation: \"!has(resource.labels.owner)\"
message: \"'no owner'\"
remediation: { text: Label it., manual: Only people know. }
examples:
  - { name: owned, status: healthy, object: {}, resource: { labels: { owner: a } } }
  - { name: not owned, status: unhealthy, object: {} }
";

    fn refused(text: &str) -> Vec<SourceProblem> {
        Catalogue::embedded().unwrap().parse_custom(text).unwrap_err()
    }

    fn check(from: &str, to: &str, pointer: &str, line: usize) {
        assert!(GOOD.contains(from), "{from}");
        let problems = refused(&GOOD.replace(from, to));
        let found = problems.iter().any(|problem| (problem.pointer.as_str(), problem.line) == (pointer, line));
        assert!(found, "wanted {pointer} in line {line}, got {problems:?}");
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        let catalogue = Catalogue::embedded().unwrap();
        let control = catalogue.parse_custom(GOOD).unwrap();
        assert_eq!(control.id, "custom.owner");
        check("id: custom.owner", "id: k8s.pod.privileged", "/id", 1);
        check("group: security_configurations", "group: nothing", "/group", 5);
        check("severity: medium", "severity: awful", "", 4);
        check("status: healthy", "status: exempt", "/examples/0/status", 13);
        check("title: Workload without an owner", "title: ' '", "/title", 3);
        check("rationale: Somebody must be asked.", "reason: x", "", 8);
        assert_eq!(refused(&format!("{GOOD}---\n{GOOD}")).len(), 1);
    }

    #[test]
    fn customers_controls_stand_beside_and_never_in_place_of_the_products() {
        let catalogue = Catalogue::embedded().unwrap();
        let own = catalogue.parse_custom(GOOD).unwrap();
        let mut shadow = own.clone();
        shadow.id = "k8s.pod.privileged".to_owned();
        let hash = hash_json(&1.into());
        let both = catalogue.with_custom([(own, hash), (shadow, hash)]);
        assert_eq!(both.controls().len(), catalogue.controls().len() + 1);
        assert_eq!(both.control("k8s.pod.privileged"), catalogue.control("k8s.pod.privileged"));
        assert_eq!(both.control_version("custom.owner"), Some(hash));
        assert_eq!(both.version(), catalogue.version(), "what customers wrote is not the product's version");
    }
}
