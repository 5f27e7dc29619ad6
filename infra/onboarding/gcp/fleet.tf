# Rights of Rampart inside every GKE cluster of a project: IAM decides there, nothing is written to a cluster.
# IAM does not know these; bind the ClusterRole of the Kubernetes manifest where they matter:
#   list *.constraints.gatekeeper.sh
#   list adminnetworkpolicies.policy.networking.k8s.io
#   list baselineadminnetworkpolicies.policy.networking.k8s.io
#   list ciliumclusterwidenetworkpolicies.cilium.io
#   list ciliumnetworkpolicies.cilium.io
#   list constrainttemplates.templates.gatekeeper.sh
#   list gatewayclasses.gateway.networking.k8s.io
#   list gateways.gateway.networking.k8s.io
#   list globalnetworkpolicies.crd.projectcalico.org
#   list grpcroutes.gateway.networking.k8s.io
#   list httproutes.gateway.networking.k8s.io
#   list tcproutes.gateway.networking.k8s.io
#   list tlsroutes.gateway.networking.k8s.io
#   list validatingadmissionpolicies.admissionregistration.k8s.io
#   list validatingadmissionpolicybindings.admissionregistration.k8s.io

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
    "container.clusterRoleBindings.list",
    "container.clusterRoles.list",
    "container.clusters.connect",
    "container.cronJobs.list",
    "container.customResourceDefinitions.list",
    "container.daemonSets.list",
    "container.deployments.list",
    "container.endpointSlices.list",
    "container.ingresses.list",
    "container.jobs.list",
    "container.limitRanges.list",
    "container.mutatingWebhookConfigurations.list",
    "container.namespaces.get",
    "container.namespaces.list",
    "container.networkPolicies.list",
    "container.nodes.list",
    "container.persistentVolumes.list",
    "container.pods.list",
    "container.replicaSets.list",
    "container.replicationControllers.list",
    "container.resourceQuotas.list",
    "container.roleBindings.list",
    "container.roles.list",
    "container.serviceAccounts.list",
    "container.services.list",
    "container.statefulSets.list",
    "container.storageClasses.list",
    "container.validatingWebhookConfigurations.list",
  ]
}

resource "google_project_iam_member" "rampart_clusters" {
  project = var.project
  role    = google_project_iam_custom_role.rampart_clusters.id
  member  = var.member
}
