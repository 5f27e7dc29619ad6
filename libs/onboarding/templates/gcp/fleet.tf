# Rights of Rampart inside every GKE cluster of a project: IAM decides there, nothing is written to a cluster.
{% if ungoverned %}
# IAM does not know these; bind the ClusterRole of the Kubernetes manifest where they matter:
{% for permission in ungoverned %}
#   {{ permission }}
{% endfor %}
{% endif %}

terraform {
  required_providers {
    google = { source = "hashicorp/google", version = ">= 5.0" }
  }
}

variable "project" {
  description = "Id of the project."
  type        = string
}

variable "member" {
  description = "Rampart's identity: principal://..., or serviceAccount:<email>."
  type        = string
}

resource "google_project_iam_custom_role" "rampart_clusters" {
  project     = var.project
  role_id     = "rampartClusterReader"
  title       = "Rampart cluster reader"
  description = "What Rampart reads inside clusters. Secrets are not among it."
  permissions = [
{% for permission in gke_permissions %}
    "{{ permission }}",
{% endfor %}
  ]
}

resource "google_project_iam_member" "rampart_clusters" {
  project = var.project
  role    = google_project_iam_custom_role.rampart_clusters.id
  member  = var.member
}
