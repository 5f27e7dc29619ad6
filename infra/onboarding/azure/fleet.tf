# Rights of Rampart inside every AKS cluster below a scope that authorises by Azure RBAC: nothing is written to a cluster.

terraform {
  required_providers {
    azurerm = { source = "hashicorp/azurerm", version = ">= 4.0" }
  }
}

variable "scope" {
  description = "/subscriptions/<id>, or /providers/Microsoft.Management/managementGroups/<name> for many."
  type        = string
}

variable "principal_id" {
  description = "Object id of Rampart's identity."
  type        = string
}

resource "azurerm_role_definition" "rampart" {
  name        = "Rampart cluster reader"
  scope       = var.scope
  description = "What Rampart reads inside clusters. Secrets are not among it."
  permissions {
    actions = ["Microsoft.ContainerService/managedClusters/listClusterUserCredential/action"]
    # On a management group, Azure takes roles without data actions only: assign per subscription there.
    data_actions = [
      "Microsoft.ContainerService/managedClusters/admissionregistration.k8s.io/mutatingwebhookconfigurations/read",
      "Microsoft.ContainerService/managedClusters/admissionregistration.k8s.io/validatingadmissionpolicies/read",
      "Microsoft.ContainerService/managedClusters/admissionregistration.k8s.io/validatingadmissionpolicybindings/read",
      "Microsoft.ContainerService/managedClusters/admissionregistration.k8s.io/validatingwebhookconfigurations/read",
      "Microsoft.ContainerService/managedClusters/apiextensions.k8s.io/customresourcedefinitions/read",
      "Microsoft.ContainerService/managedClusters/apis/read",
      "Microsoft.ContainerService/managedClusters/apps/daemonsets/read",
      "Microsoft.ContainerService/managedClusters/apps/deployments/read",
      "Microsoft.ContainerService/managedClusters/apps/replicasets/read",
      "Microsoft.ContainerService/managedClusters/apps/statefulsets/read",
      "Microsoft.ContainerService/managedClusters/batch/cronjobs/read",
      "Microsoft.ContainerService/managedClusters/batch/jobs/read",
      "Microsoft.ContainerService/managedClusters/cilium.io/ciliumclusterwidenetworkpolicies/read",
      "Microsoft.ContainerService/managedClusters/cilium.io/ciliumnetworkpolicies/read",
      "Microsoft.ContainerService/managedClusters/constraints.gatekeeper.sh/*/read",
      "Microsoft.ContainerService/managedClusters/crd.projectcalico.org/globalnetworkpolicies/read",
      "Microsoft.ContainerService/managedClusters/crd.projectcalico.org/networkpolicies/read",
      "Microsoft.ContainerService/managedClusters/discovery.k8s.io/endpointslices/read",
      "Microsoft.ContainerService/managedClusters/gateway.networking.k8s.io/gatewayclasses/read",
      "Microsoft.ContainerService/managedClusters/gateway.networking.k8s.io/gateways/read",
      "Microsoft.ContainerService/managedClusters/gateway.networking.k8s.io/grpcroutes/read",
      "Microsoft.ContainerService/managedClusters/gateway.networking.k8s.io/httproutes/read",
      "Microsoft.ContainerService/managedClusters/gateway.networking.k8s.io/tcproutes/read",
      "Microsoft.ContainerService/managedClusters/gateway.networking.k8s.io/tlsroutes/read",
      "Microsoft.ContainerService/managedClusters/limitranges/read",
      "Microsoft.ContainerService/managedClusters/namespaces/read",
      "Microsoft.ContainerService/managedClusters/networking.k8s.io/ingresses/read",
      "Microsoft.ContainerService/managedClusters/networking.k8s.io/networkpolicies/read",
      "Microsoft.ContainerService/managedClusters/nodes/read",
      "Microsoft.ContainerService/managedClusters/persistentvolumes/read",
      "Microsoft.ContainerService/managedClusters/pods/read",
      "Microsoft.ContainerService/managedClusters/policy.networking.k8s.io/adminnetworkpolicies/read",
      "Microsoft.ContainerService/managedClusters/policy.networking.k8s.io/baselineadminnetworkpolicies/read",
      "Microsoft.ContainerService/managedClusters/rbac.authorization.k8s.io/clusterrolebindings/read",
      "Microsoft.ContainerService/managedClusters/rbac.authorization.k8s.io/clusterroles/read",
      "Microsoft.ContainerService/managedClusters/rbac.authorization.k8s.io/rolebindings/read",
      "Microsoft.ContainerService/managedClusters/rbac.authorization.k8s.io/roles/read",
      "Microsoft.ContainerService/managedClusters/replicationcontrollers/read",
      "Microsoft.ContainerService/managedClusters/resourcequotas/read",
      "Microsoft.ContainerService/managedClusters/serviceaccounts/read",
      "Microsoft.ContainerService/managedClusters/services/read",
      "Microsoft.ContainerService/managedClusters/storage.k8s.io/storageclasses/read",
      "Microsoft.ContainerService/managedClusters/templates.gatekeeper.sh/constrainttemplates/read",
      "Microsoft.ContainerService/managedClusters/version/read",
    ]
  }
  assignable_scopes = [var.scope]
}

resource "azurerm_role_assignment" "rampart" {
  scope              = var.scope
  role_definition_id = azurerm_role_definition.rampart.role_definition_resource_id
  principal_id       = var.principal_id
}
