// The identity of Rampart in an Azure tenant: a managed identity without a secret, trusted through Rampart's OIDC issuer.
//   az deployment group create --resource-group rampart --template-file identity.bicep
targetScope = 'resourceGroup'

@description('Rampart\'s issuer, such as https://rampart.example.com.')
param issuer string

@description('Tenant and connector as <tenant>:<connector>.')
param subject string

@description('The audience that this cloud\'s Entra asks for.')
param audience string = 'api://AzureADTokenExchange'

param location string = resourceGroup().location

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: 'rampart'
  location: location
}

resource trust 'Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials@2023-01-31' = {
  parent: identity
  name: 'rampart'
  properties: {
    issuer: issuer
    subject: subject
    audiences: [audience]
  }
}

output tenantId string = identity.properties.tenantId
output clientId string = identity.properties.clientId
output principalId string = identity.properties.principalId
