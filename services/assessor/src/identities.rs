use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use rampart_domain::{Kind, UnitId};
use rampart_posture::risk::powers;
use rampart_store::{StoreError, TenantTx, context};
use serde_json::Value;

/// How a service account is called where users are named.
const ACCOUNT_USER: &str = "system:serviceaccount:";
/// Group of the service accounts of a namespace; without a namespace, of all.
const ACCOUNT_GROUP: &str = "system:serviceaccounts";

/// Service accounts of a cluster that may do much in all of it, each with what and by which binding.
#[derive(Default)]
pub(crate) struct Identities {
    /// By namespace and name.
    accounts: BTreeMap<(String, String), String>,
    /// By namespace: every account in it.
    namespaces: BTreeMap<String, String>,
    /// Every account.
    all: Option<String>,
    /// Accounts whose tokens are not mounted unless a pod asks for it.
    unmounted: HashSet<(String, String)>,
}

impl Identities {
    /// Reads bindings and roles of a cluster.
    pub(crate) async fn load(tx: &mut TenantTx, unit: UnitId) -> Result<Self, StoreError> {
        let bindings = context::cluster_bindings(tx, unit).await?;
        let roles: BTreeSet<String> = bindings.iter().map(|binding| binding.role.clone()).collect();
        let roles = context::cluster_roles(tx, unit, &Vec::from_iter(roles)).await?;
        let known: HashMap<&str, &str> =
            roles.iter().filter_map(|(name, allowed)| Some((name.as_str(), powers(allowed)?))).collect();
        let mut found = Self::default();
        for binding in &bindings {
            // It comes with every cluster, also where roles cannot be read.
            let unread =
                (binding.role == "cluster-admin" && !roles.contains_key(&binding.role)).then_some("may do everything");
            let Some(powers) = known.get(binding.role.as_str()).copied().or(unread) else { continue };
            let because = format!("{powers}, by the cluster role binding {}", binding.name);
            for subject in binding.subjects.as_array().into_iter().flatten() {
                found.add(subject, &because);
            }
        }
        if !found.is_empty() {
            found.unmounted = context::unmounted_accounts(tx, unit).await?.into_iter().collect();
        }
        Ok(found)
    }

    fn add(&mut self, subject: &Value, because: &str) {
        let text = |field: &str| subject.get(field).and_then(Value::as_str).unwrap_or_default();
        let (kind, name) = (text("kind"), text("name"));
        let because = || because.to_owned();
        match kind {
            "ServiceAccount" => {
                self.accounts.entry((text("namespace").to_owned(), name.to_owned())).or_insert_with(because);
            }
            "User" => {
                let account = name.strip_prefix(ACCOUNT_USER).and_then(|account| account.split_once(':'));
                if let Some((namespace, name)) = account {
                    self.accounts.entry((namespace.to_owned(), name.to_owned())).or_insert_with(because);
                }
            }
            "Group" if name == "system:authenticated" || name == ACCOUNT_GROUP => {
                self.all.get_or_insert_with(because);
            }
            "Group" => {
                let namespace = name.strip_prefix(ACCOUNT_GROUP).and_then(|rest| rest.strip_prefix(':'));
                if let Some(namespace) = namespace {
                    self.namespaces.entry(namespace.to_owned()).or_insert_with(because);
                }
            }
            _ => {}
        }
    }

    fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.namespaces.is_empty() && self.all.is_none()
    }

    /// Whether every account of the cluster may do much.
    pub(crate) const fn are_all(&self) -> bool {
        self.all.is_some()
    }

    /// Namespaces in which an account may do much.
    pub(crate) fn in_namespaces(&self) -> impl Iterator<Item = &String> {
        self.accounts.keys().map(|(namespace, _)| namespace).chain(self.namespaces.keys())
    }

    /// What an account may do in the whole cluster; `None` when nothing much.
    pub(crate) fn of_account(&self, namespace: &str, name: &str) -> Option<&str> {
        let own = self.accounts.get(&(namespace.to_owned(), name.to_owned()));
        own.or_else(|| self.namespaces.get(namespace)).or(self.all.as_ref()).map(String::as_str)
    }

    /// What a workload may do in the whole cluster by the account whose token it holds: the account, and what it may do.
    pub(crate) fn of_pods<'a>(&'a self, kind: Kind, namespace: &str, spec: &'a Value) -> Option<(&'a str, &'a str)> {
        // Kubelets run static pods without an account.
        if self.is_empty() || kind == Kind::K8sStaticPod {
            return None;
        }
        let mut fields = ["serviceAccountName", "serviceAccount"].iter().filter_map(|field| spec.get(field)?.as_str());
        let account = fields.find(|name| !name.is_empty()).unwrap_or("default");
        let asked = spec.get("automountServiceAccountToken").and_then(Value::as_bool);
        let mounted = asked.unwrap_or_else(|| !self.unmounted.contains(&(namespace.to_owned(), account.to_owned())));
        let may = self.of_account(namespace, account).filter(|_| mounted)?;
        Some((account, may))
    }
}
