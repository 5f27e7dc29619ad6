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
{% for action in data_actions %}
      "{{ action }}",
{% endfor %}
    ]
  }
  assignable_scopes = [var.scope]
}

resource "azurerm_role_assignment" "rampart" {
  scope              = var.scope
  role_definition_id = azurerm_role_definition.rampart.role_definition_resource_id
  principal_id       = var.principal_id
}
