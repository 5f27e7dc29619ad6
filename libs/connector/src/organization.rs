use async_trait::async_trait;
use rampart_domain::Resource;

use crate::{ConnectorError, Permission, ScanContext};

/// Whether an account of an organisation can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemberState {
    /// In use.
    Active,
    /// Suspended, disabled or marked for deletion: known, and not read.
    Suspended,
}

/// An account, subscription or project below an organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The cloud's id of the account: twelve digits, a subscription's UUID, a project's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Ids of the units above it (organisational units, management groups, folders), from the root down.
    pub path: Vec<String>,
    /// Whether it can be read.
    pub state: MemberState,
}

/// What an organisation consists of. Only a complete reading is returned: a page that fails fails the call.
#[derive(Debug, Clone, Default)]
pub struct Membership {
    /// The accounts, each once.
    pub members: Vec<Member>,
    /// The organisation and its units as resources of the inventory.
    pub units: Vec<Resource>,
}

/// A source of accounts: an AWS Organization, an Azure tenant or management group, a Google Cloud organisation or folder.
#[async_trait]
pub trait Organization: Send + Sync {
    /// Every permission that reading the membership uses.
    fn permissions(&self) -> Vec<Permission>;

    /// Reads the whole membership, or fails.
    async fn members(&self, cx: &ScanContext) -> Result<Membership, ConnectorError>;
}
