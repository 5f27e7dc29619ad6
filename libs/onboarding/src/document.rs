use rampart_connector::Permission;

/// What the connectors declare, each list exactly as its connector gives it. A cloud whose list is empty has no
/// templates.
#[derive(Debug, Clone, Default)]
pub struct Permissions {
    /// IAM actions of a scan of one account.
    pub aws: Vec<Permission>,
    /// IAM actions that reading an AWS Organization takes beside that.
    pub aws_organization: Vec<Permission>,
    /// Azure actions and data actions of a scan of one subscription.
    pub azure: Vec<Permission>,
    /// Azure actions that reading management groups takes beside that.
    pub azure_organization: Vec<Permission>,
    /// Google Cloud permissions of a scan of one project.
    pub gcp: Vec<Permission>,
    /// Google Cloud permissions that reading an organisation or folder takes beside that.
    pub gcp_organization: Vec<Permission>,
    /// Rights inside any cluster.
    pub kubernetes: Vec<Permission>,
    /// Rights inside an EKS cluster.
    pub eks: Vec<Permission>,
}

/// A template that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Document {
    /// `aws`, `azure`, `gcp` or `kubernetes`.
    pub cloud: &'static str,
    /// What it is written in and for: `cloudformation`, `terraform`, `fleet_script` and so on.
    pub format: &'static str,
    /// Its name in the repository, below the directory of its cloud.
    pub file: &'static str,
    pub(crate) source: &'static str,
}

macro_rules! document {
    ($cloud:literal, $format:literal, $file:literal, $source:literal) => {
        Document {
            cloud: $cloud,
            format: $format,
            file: $file,
            source: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/", $source)),
        }
    };
}

/// Every template. Those named `fleet_…` give rights inside the clusters, the others rights in the cloud.
pub const DOCUMENTS: [Document; 17] = [
    document!("aws", "cloudformation", "rampart.yaml", "aws/rampart.yaml"),
    document!("aws", "stackset", "stackset.yaml", "aws/stackset.yaml"),
    document!("aws", "terraform", "rampart.tf", "aws/rampart.tf"),
    document!("aws", "fleet_terraform", "fleet.tf", "aws/fleet.tf"),
    document!("aws", "fleet_script", "fleet.sh", "aws/fleet.sh"),
    document!("aws", "manifest", "manifest.yaml", "kubernetes/rampart.yaml"),
    document!("azure", "identity_bicep", "identity.bicep", "azure/identity.bicep"),
    document!("azure", "bicep", "rampart.bicep", "azure/rampart.bicep"),
    document!("azure", "terraform", "rampart.tf", "azure/rampart.tf"),
    document!("azure", "fleet_terraform", "fleet.tf", "azure/fleet.tf"),
    document!("azure", "fleet_script", "fleet.sh", "azure/fleet.sh"),
    document!("gcp", "terraform", "rampart.tf", "gcp/rampart.tf"),
    document!("gcp", "script", "rampart.sh", "gcp/rampart.sh"),
    document!("gcp", "organization_terraform", "organization.tf", "gcp/organization.tf"),
    document!("gcp", "fleet_terraform", "fleet.tf", "gcp/fleet.tf"),
    document!("gcp", "fleet_script", "fleet.sh", "gcp/fleet.sh"),
    document!("kubernetes", "manifest", "rampart.yaml", "kubernetes/rampart.yaml"),
];

/// The template of a cloud in a format.
pub fn find(cloud: &str, format: &str) -> Option<&'static Document> {
    DOCUMENTS.iter().find(|document| document.cloud == cloud && document.format == format)
}

impl Permissions {
    /// What a document of this cloud gives rights to in the cloud itself; `None` for clusters without a cloud.
    pub(crate) fn of(&self, cloud: &str) -> Option<&[Permission]> {
        match cloud {
            "aws" => Some(&self.aws),
            "azure" => Some(&self.azure),
            "gcp" => Some(&self.gcp),
            _ => None,
        }
    }

    /// Whether the templates of this cloud can be made.
    pub fn has(&self, cloud: &str) -> bool {
        self.of(cloud).is_none_or(|permissions| !permissions.is_empty())
    }
}
