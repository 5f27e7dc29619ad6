# Read-only access for Rampart to a Google Cloud organisation, without a key: all its projects, new ones included.
# Generated from the calls that Rampart's code makes: no permission more.

terraform {
  required_providers {
    google = { source = "hashicorp/google", version = ">= 5.0" }
  }
}

variable "organization" {
  description = "Number of the organisation."
  type        = string
}

variable "member" {
  description = "Rampart's identity: the principal that rampart.tf makes in one project, or serviceAccount:<email>."
  type        = string
}

resource "google_organization_iam_custom_role" "rampart" {
  org_id      = var.organization
  role_id     = "rampartReader"
  title       = "Rampart reader"
  description = "What Rampart reads."
  permissions = [
    "artifactregistry.dockerimages.list",
    "artifactregistry.locations.list",
    "artifactregistry.repositories.getIamPolicy",
    "artifactregistry.repositories.list",
    "compute.firewalls.list",
    "compute.subnetworks.list",
    "container.clusters.connect",
    "container.clusters.list",
    "resourcemanager.projects.get",
    "resourcemanager.projects.getIamPolicy",
    "serviceusage.services.list",
    "resourcemanager.folders.get",
    "resourcemanager.folders.list",
    "resourcemanager.organizations.get",
    "resourcemanager.projects.list",
  ]
}

resource "google_organization_iam_member" "rampart" {
  org_id = var.organization
  role   = google_organization_iam_custom_role.rampart.id
  member = var.member
}
