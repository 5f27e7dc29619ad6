# Read-only access for Rampart to an Azure scope. Generated from the calls that Rampart's code makes: no action more.

terraform {
  required_providers {
    azurerm = { source = "hashicorp/azurerm", version = ">= 4.0" }
  }
}

variable "scope" {
  description = "/subscriptions/<id>, or /providers/Microsoft.Management/managementGroups/<name> for many."
  type        = string
}

variable "resource_group" {
  description = "Resource group that holds the identity."
  type        = string
}

variable "location" {
  type = string
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

resource "azurerm_user_assigned_identity" "rampart" {
  name                = "rampart"
  resource_group_name = var.resource_group
  location            = var.location
}

resource "azurerm_federated_identity_credential" "rampart" {
  name                = "rampart"
  resource_group_name = var.resource_group
  parent_id           = azurerm_user_assigned_identity.rampart.id
  issuer              = var.issuer
  subject             = var.subject
  audience            = ["api://AzureADTokenExchange"]
}

resource "azurerm_role_definition" "rampart" {
  name        = "Rampart reader"
  scope       = var.scope
  description = "What Rampart reads."
  permissions {
    actions = [
      "Microsoft.Authorization/roleAssignments/read",
      "Microsoft.ContainerRegistry/registries/read",
      "Microsoft.ContainerRegistry/registries/replications/read",
      "Microsoft.ContainerRegistry/registries/scopeMaps/read",
      "Microsoft.ContainerRegistry/registries/tokens/read",
      "Microsoft.ContainerRegistry/registries/webhooks/read",
      "Microsoft.ContainerService/managedClusters/agentPools/read",
      "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action",
      "Microsoft.ContainerService/managedClusters/maintenanceConfigurations/read",
      "Microsoft.ContainerService/managedClusters/read",
      "Microsoft.ContainerService/managedClusters/trustedAccessRoleBindings/read",
      "Microsoft.Insights/diagnosticSettings/read",
      "Microsoft.Kubernetes/connectedClusters/read",
      "Microsoft.KubernetesConfiguration/extensions/read",
      "Microsoft.Resources/subscriptions/read",
      "Microsoft.Security/pricings/read",
      "Microsoft.Management/managementGroups/descendants/read",
      "Microsoft.Management/managementGroups/read",
    ]
    data_actions = [
      "Microsoft.ContainerRegistry/registries/catalog/read",
      "Microsoft.ContainerRegistry/registries/repositories/metadata/read",
    ]
  }
  assignable_scopes = [var.scope]
}

resource "azurerm_role_assignment" "rampart" {
  scope              = var.scope
  role_definition_id = azurerm_role_definition.rampart.role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.rampart.principal_id
}

output "client_id" {
  value = azurerm_user_assigned_identity.rampart.client_id
}

output "tenant_id" {
  value = azurerm_user_assigned_identity.rampart.tenant_id
}
