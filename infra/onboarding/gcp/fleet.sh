#!/usr/bin/env bash
# Rights of Rampart inside every GKE cluster of some projects: IAM decides there, nothing is written to a cluster.
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
#   ./fleet.sh <member> <project>...      member: principal://..., or serviceAccount:<email>
set -euo pipefail
member=$1
shift
permissions=$(tr -d ' \n' <<'LIST'
container.clusterRoleBindings.list,
container.clusterRoles.list,
container.clusters.connect,
container.cronJobs.list,
container.customResourceDefinitions.list,
container.daemonSets.list,
container.deployments.list,
container.endpointSlices.list,
container.ingresses.list,
container.jobs.list,
container.limitRanges.list,
container.mutatingWebhookConfigurations.list,
container.namespaces.get,
container.namespaces.list,
container.networkPolicies.list,
container.nodes.list,
container.persistentVolumes.list,
container.pods.list,
container.replicaSets.list,
container.replicationControllers.list,
container.resourceQuotas.list,
container.roleBindings.list,
container.roles.list,
container.serviceAccounts.list,
container.services.list,
container.statefulSets.list,
container.storageClasses.list,
container.validatingWebhookConfigurations.list
LIST
)

for project in "$@"; do
  verb=create
  if gcloud iam roles describe rampartClusterReader --project "$project" >/dev/null 2>&1; then verb=update; fi
  gcloud iam roles "$verb" rampartClusterReader --project "$project" --quiet --title 'Rampart cluster reader' \
    --permissions "$permissions"
  gcloud projects add-iam-policy-binding "$project" --quiet --condition None \
    --role "projects/$project/roles/rampartClusterReader" --member "$member"
done
