// Read-only access for Rampart to one subscription. Generated from the calls that Rampart's code makes: no action more.
//   az deployment sub create --location westeurope --template-file rampart.bicep --parameters principalId=<object id>
targetScope = 'subscription'

@description('Object id of the identity that identity.bicep makes, or of a service principal.')
param principalId string

resource role 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, 'rampart')
  properties: {
    roleName: 'Rampart reader (${subscription().subscriptionId})'
    description: 'What Rampart reads.'
    type: 'CustomRole'
    assignableScopes: [subscription().id]
    permissions: [
      {
        actions: [
          'Microsoft.Authorization/roleAssignments/read'
          'Microsoft.ContainerRegistry/registries/read'
          'Microsoft.ContainerRegistry/registries/replications/read'
          'Microsoft.ContainerRegistry/registries/scopeMaps/read'
          'Microsoft.ContainerRegistry/registries/tokens/read'
          'Microsoft.ContainerRegistry/registries/webhooks/read'
          'Microsoft.ContainerService/managedClusters/agentPools/read'
          'Microsoft.ContainerService/managedClusters/listClusterUserCredential/action'
          'Microsoft.ContainerService/managedClusters/maintenanceConfigurations/read'
          'Microsoft.ContainerService/managedClusters/read'
          'Microsoft.ContainerService/managedClusters/trustedAccessRoleBindings/read'
          'Microsoft.Insights/diagnosticSettings/read'
          'Microsoft.Kubernetes/connectedClusters/read'
          'Microsoft.KubernetesConfiguration/extensions/read'
          'Microsoft.Resources/subscriptions/read'
          'Microsoft.Security/pricings/read'
        ]
        notActions: []
        dataActions: [
          'Microsoft.ContainerRegistry/registries/catalog/read'
          'Microsoft.ContainerRegistry/registries/repositories/metadata/read'
        ]
        notDataActions: []
      }
    ]
  }
}

resource assignment 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(subscription().id, principalId, role.id)
  properties: {
    roleDefinitionId: role.id
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}
