//! Shapes of the report.

pub(crate) mod json;
pub(crate) mod junit;
mod lines;
pub(crate) mod sarif;
pub(crate) mod table;

use rampart_content::References;

use crate::report::Place;

/// An object in words: `Deployment shop/web`.
fn object(place: &Place) -> String {
    match (place.namespace.as_str(), place.name.as_str()) {
        ("", "") => place.kind.clone(),
        ("", name) => format!("{} {name}", place.kind),
        (namespace, name) => format!("{} {namespace}/{name}", place.kind),
    }
}

/// The same rule in other catalogues, in words.
fn references(references: &References) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(level) = &references.pss {
        found.push(format!("Pod Security Standards {level}"));
    }
    found.extend(references.cis.iter().map(|(benchmark, sections)| format!("CIS {benchmark} {}", sections.join(", "))));
    let lists = [
        ("NSA", &references.nsa),
        ("MITRE", &references.mitre),
        ("Kubescape", &references.kubescape),
        ("Trivy", &references.trivy),
        ("Checkov", &references.checkov),
        ("Prowler", &references.prowler),
        ("Defender", &references.defender),
        ("Azure Policy", &references.azure_policy),
    ];
    let named = lists.into_iter().filter(|(_, ids)| !ids.is_empty());
    found.extend(named.map(|(catalogue, ids)| format!("{catalogue} {}", ids.join(", "))));
    found
}
