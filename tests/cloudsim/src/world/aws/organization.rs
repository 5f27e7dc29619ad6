//! An AWS Organization: units and the accounts in them.

use serde_json::{Value, json};

use super::Account;
use crate::world::Preset;

/// An organisation of accounts.
#[derive(Debug, Clone)]
pub struct Organization {
    /// `o-…`.
    pub id: String,
    /// The account that owns it and may ask about it.
    pub management: String,
    /// Id of the root.
    pub root: String,
    /// Organisational units.
    pub units: Vec<OrganizationUnit>,
    /// Accounts.
    pub accounts: Vec<OrganizationAccount>,
}

/// An organisational unit.
#[derive(Debug, Clone)]
pub struct OrganizationUnit {
    /// `ou-…`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The unit or root that it lies in.
    pub parent: String,
}

/// An account as the organisation knows it.
#[derive(Debug, Clone)]
pub struct OrganizationAccount {
    /// Twelve digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The unit or root that it lies in.
    pub parent: String,
    /// `ACTIVE`, `SUSPENDED` or `PENDING_CLOSURE`.
    pub state: &'static str,
}

const ROOT: &str = "r-ram1";
/// Units of the organisation: id, name, parent.
const UNITS: [(&str, &str, &str); 4] = [
    ("ou-ram1-core0001", "core", ROOT),
    ("ou-ram1-work0001", "workloads", ROOT),
    ("ou-ram1-lega0001", "legacy", "ou-ram1-work0001"),
    ("ou-ram1-left0001", "leaving", ROOT),
];
/// Accounts below the management account: id, name, unit by its place above.
const MEMBERS: [(&str, &str, usize); 6] = [
    ("222200000001", "audit", 0),
    ("222200000002", "network", 0),
    ("222200000003", "shop", 1),
    ("222200000004", "payments", 1),
    ("222200000005", "mainframe", 2),
    ("222200000006", "closed", 3),
];

/// Ids of the accounts below the management account.
pub(crate) fn members() -> impl Iterator<Item = &'static str> {
    MEMBERS.iter().map(|(id, ..)| *id)
}

impl Organization {
    /// The organisation of a world, if it has one. The first account owns it.
    pub(crate) fn of(preset: Preset, accounts: &[Account]) -> Option<Self> {
        let management = accounts.first()?.id.clone();
        let account = |id: &str, name: &str, parent: &str| OrganizationAccount {
            id: id.to_owned(),
            name: name.to_owned(),
            parent: parent.to_owned(),
            state: "ACTIVE",
        };
        let mut members = vec![account(&management, "management", ROOT)];
        let units = match preset {
            Preset::Demo | Preset::Estate => {
                members.extend(accounts.iter().skip(1).map(|other| account(&other.id, "partner", ROOT)));
                &[][..]
            }
            Preset::Fleet => {
                members.extend(accounts.iter().skip(1).map(|other| account(&other.id, &other.id, ROOT)));
                &[][..]
            }
            Preset::Organization => {
                members.extend(MEMBERS.iter().map(|(id, name, unit)| account(id, name, UNITS[*unit].0)));
                members.last_mut()?.state = "SUSPENDED";
                &UNITS[..]
            }
            _ => return None,
        };
        let unit = |(id, name, parent): &(&str, &str, &str)| OrganizationUnit {
            id: (*id).to_owned(),
            name: (*name).to_owned(),
            parent: (*parent).to_owned(),
        };
        Some(Self {
            id: "o-rampart001".to_owned(),
            management,
            root: ROOT.to_owned(),
            units: units.iter().map(unit).collect(),
            accounts: members,
        })
    }

    /// Puts an account into a unit, or somewhere else.
    pub fn place(&mut self, id: &str, name: &str, parent: &str) {
        self.remove(id);
        let (id, name, parent) = (id.to_owned(), name.to_owned(), parent.to_owned());
        self.accounts.push(OrganizationAccount { id, name, parent, state: "ACTIVE" });
    }

    /// Lets an account leave.
    pub fn remove(&mut self, id: &str) {
        self.accounts.retain(|account| account.id != id);
    }

    fn arn(&self, kind: &str, rest: &str) -> String {
        format!("arn:aws:organizations::{}:{kind}/{}{rest}", self.management, self.id)
    }

    /// As `DescribeOrganization` returns it.
    pub(crate) fn description(&self) -> Value {
        json!({
            "Id": self.id, "Arn": self.arn("organization", ""), "FeatureSet": "ALL",
            "MasterAccountArn": self.arn("account", &format!("/{}", self.management)),
            "MasterAccountId": self.management, "MasterAccountEmail": "aws-root@example.com",
            "AvailablePolicyTypes": [],
        })
    }

    /// As `ListRoots` returns them.
    pub(crate) fn roots(&self) -> Vec<Value> {
        let arn = self.arn("root", &format!("/{}", self.root));
        vec![json!({ "Id": self.root, "Arn": arn, "Name": "Root", "PolicyTypes": [] })]
    }

    /// Whether there is a root or unit of this id.
    pub(crate) fn has_parent(&self, id: &str) -> bool {
        self.root == id || self.units.iter().any(|unit| unit.id == id)
    }

    /// Units directly below `parent`.
    pub(crate) fn units_of(&self, parent: &str) -> Vec<Value> {
        let below = self.units.iter().filter(|unit| unit.parent == parent);
        let view = |unit: &OrganizationUnit| json!({ "Id": unit.id, "Arn": self.arn("ou", &format!("/{}", unit.id)), "Name": unit.name });
        below.map(view).collect()
    }

    /// Accounts directly below `parent`; all of them without one.
    pub(crate) fn accounts_of(&self, parent: Option<&str>) -> Vec<Value> {
        let below = self.accounts.iter().filter(|account| parent.is_none_or(|parent| account.parent == parent));
        let view = |account: &OrganizationAccount| {
            json!({
                "Id": account.id, "Arn": self.arn("account", &format!("/{}", account.id)), "Name": account.name,
                "Email": format!("aws-{}@example.com", account.name), "State": account.state,
                "Status": account.state, "JoinedMethod": "CREATED", "JoinedTimestamp": 1_700_000_000.5,
            })
        };
        below.map(view).collect()
    }
}
