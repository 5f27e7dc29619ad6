# Read-only access for Rampart to one Google Cloud project, without a key. Generated from the calls that Rampart's code
# makes: no permission more.

terraform {
  required_providers {
    google = { source = "hashicorp/google", version = ">= 5.0" }
  }
}

variable "project" {
  description = "Id of the project."
  type        = string
}

variable "issuer" {
  description = "Rampart's issuer, such as https://rampart.example.com."
  type        = string
  default     = null
}

variable "subject" {
  description = "Tenant and connector as <tenant>:<connector>."
  type        = string
  default     = null
}

resource "google_project_iam_custom_role" "rampart" {
  project     = var.project
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
  ]
}

resource "google_iam_workload_identity_pool" "rampart" {
  project                   = var.project
  workload_identity_pool_id = "rampart"
  display_name              = "Rampart"
}

resource "google_iam_workload_identity_pool_provider" "rampart" {
  project                            = var.project
  workload_identity_pool_id          = google_iam_workload_identity_pool.rampart.workload_identity_pool_id
  workload_identity_pool_provider_id = "rampart"
  attribute_mapping                  = { "google.subject" = "assertion.sub" }
  attribute_condition                = "assertion.sub == '${var.subject}'"
  oidc {
    issuer_uri = var.issuer
  }
}

resource "google_project_iam_member" "rampart" {
  project = var.project
  role    = google_project_iam_custom_role.rampart.id
  member  = "principal://iam.googleapis.com/${google_iam_workload_identity_pool.rampart.name}/subject/${var.subject}"
}

output "provider" {
  description = "Give this to Rampart as the workload-identity provider."
  value       = google_iam_workload_identity_pool_provider.rampart.name
}
