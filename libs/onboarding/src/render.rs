use std::collections::{BTreeMap, BTreeSet};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{Environment, UndefinedBehavior, context};
use rampart_connector::Permission;

use crate::document::{Document, Permissions};
use crate::right::{GKE_CONNECT, MalformedPermission, Right, aks_data_action, gke_permission};

/// Group that stands for Rampart inside clusters whose identities a cloud maps.
const GROUP: &str = "rampart-readers";
/// Audience of statements for AWS.
const AWS_AUDIENCE: &str = "sts.amazonaws.com";
/// Audience of statements for Entra in the commercial cloud.
const AZURE_AUDIENCE: &str = "api://AzureADTokenExchange";

/// What is known of the connector that a template is for; what is not stays a parameter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fill {
    /// What the role of an AWS account asks for.
    pub trust: Trust,
    /// ARN of the AWS identity that Rampart runs as.
    pub aws_principal: Option<String>,
    /// The external id of the connector.
    pub external_id: Option<String>,
    /// URL of Rampart as an OIDC issuer.
    pub issuer_url: Option<String>,
    /// Subject of the connector's statements: `<tenant>:<connector>`.
    pub subject: Option<String>,
}

/// What an AWS role asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Trust {
    /// Rampart's AWS identity and the external id.
    #[default]
    ExternalId,
    /// A statement of Rampart's issuer.
    WebIdentity,
}

/// Why a template could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// No connector declares permissions for the cloud.
    #[error("no connector declares permissions for {0}")]
    NoPermissions(&'static str),
    /// A connector declares a permission inside clusters that is none.
    #[error(transparent)]
    Permission(#[from] MalformedPermission),
    /// A value would break out of its place in the text.
    #[error("{0:?} holds characters that have no place in a template")]
    Value(String),
    /// The template itself is wrong.
    #[error("template")]
    Template(#[from] minijinja::Error),
}

/// The text of a document.
pub fn render(document: &Document, permissions: &Permissions, fill: &Fill) -> Result<String, TemplateError> {
    if !permissions.has(document.cloud) {
        return Err(TemplateError::NoPermissions(document.cloud));
    }
    for value in [&fill.aws_principal, &fill.external_id, &fill.issuer_url, &fill.subject].into_iter().flatten() {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/@+=,*".contains(c);
        if !value.chars().all(plain) {
            return Err(TemplateError::Value(value.clone()));
        }
    }
    let actions = names(permissions.of(document.cloud).unwrap_or_default());
    let (data_actions, actions): (Vec<_>, Vec<_>) = actions.into_iter().partition(|name| is_data_action(name));
    let is_fleet = document.format.starts_with("fleet");
    let inside = rights(if document.cloud == "aws" { &permissions.eks } else { &permissions.kubernetes })?;
    let data_actions = if is_fleet { unique(inside.iter().filter_map(aks_data_action)) } else { data_actions };
    let organization_actions = match document.cloud {
        "aws" => names(&permissions.aws_organization),
        "azure" => names(&permissions.azure_organization),
        "gcp" => names(&permissions.gcp_organization),
        _ => Vec::new(),
    };
    let organization_actions: Vec<String> =
        organization_actions.into_iter().filter(|action| !actions.contains(action)).collect();
    let ungoverned = inside.iter().filter(|right| !matches!(right, Right::Path(_)) && gke_permission(right).is_none());
    let cluster = Cluster::of(&inside);
    let values = context! {
        actions,
        data_actions,
        organization_actions,
        gke_permissions => unique(inside.iter().filter_map(gke_permission).chain([GKE_CONNECT.to_owned()])),
        ungoverned => unique(ungoverned.map(Right::to_string)),
        rules => cluster.rules,
        cluster_objects => cluster.objects,
        namespaced_objects => cluster.namespaced,
        paths => cluster.paths,
        group => GROUP,
        subject_kind => if document.cloud == "kubernetes" { "ServiceAccount" } else { "Group" },
        aws_audience => AWS_AUDIENCE,
        azure_audience => AZURE_AUDIENCE,
        trust => if fill.trust == Trust::WebIdentity { "web_identity" } else { "external_id" },
        aws_principal => fill.aws_principal.clone(),
        external_id => fill.external_id.clone(),
        issuer_url => fill.issuer_url.clone(),
        issuer => fill.issuer_url.as_deref().map(|url| url.split_once("://").map_or(url, |(_, rest)| rest).to_owned()),
        subject => fill.subject.clone(),
    };
    Ok(environment()?.render_str(document.source, values)?)
}

fn environment() -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build()?;
    environment.set_syntax(syntax);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_filter("quoted_or_null", |value: Option<String>| {
        value.map_or_else(|| "null".to_owned(), |text| format!("\"{text}\""))
    });
    Ok(environment)
}

fn names(permissions: &[Permission]) -> Vec<String> {
    unique(permissions.iter().map(|permission| permission.name.clone()))
}

fn unique(names: impl Iterator<Item = String>) -> Vec<String> {
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

fn rights(permissions: &[Permission]) -> Result<Vec<Right>, MalformedPermission> {
    permissions.iter().map(|permission| permission.name.parse()).collect()
}

/// Whether Azure takes the name as a data action: what lies in a registry, not the registry itself.
fn is_data_action(name: &str) -> bool {
    ["Microsoft.ContainerRegistry/registries/catalog/", "Microsoft.ContainerRegistry/registries/repositories/"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let dotted = |group: &str| if group.is_empty() { String::new() } else { format!(".{group}") };
        match self {
            Self::Path(path) => write!(f, "get {path}"),
            Self::Resource { verb, group, resource } => write!(f, "{verb} {resource}{}", dotted(group)),
            Self::Object { verb, group, resource, name } => write!(f, "{verb} {resource}{}/{name}", dotted(group)),
        }
    }
}

/// Rights as the rules of roles.
struct Cluster {
    rules: Vec<Value>,
    objects: Vec<Value>,
    namespaced: Vec<Value>,
    paths: Vec<String>,
}

impl Cluster {
    fn of(rights: &[Right]) -> Self {
        let mut rules: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
        let (mut objects, mut namespaced, mut paths) = (Vec::new(), Vec::new(), Vec::new());
        for right in rights {
            match right {
                Right::Path(path) => paths.push(path.clone()),
                Right::Resource { verb, group, resource } => {
                    rules.entry((group.clone(), verb.clone())).or_default().insert(resource.clone());
                }
                Right::Object { verb, group, resource, name } => {
                    // The one namespaced object that is read by name lies in kube-system.
                    let list = if resource == "namespaces" { &mut objects } else { &mut namespaced };
                    list.push(context! {
                        verb => verb.clone(), group => group.clone(), resource => resource.clone(),
                        name => name.clone(),
                    });
                }
            }
        }
        let rules = rules.into_iter().map(|((group, verb), resources)| {
            context! { group, verb, resources => resources.into_iter().collect::<Vec<String>>() }
        });
        Self { rules: rules.collect(), objects, namespaced, paths: unique(paths.into_iter()) }
    }
}
