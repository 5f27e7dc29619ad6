#!/usr/bin/env bash
# Rights of Rampart inside every AKS cluster of some subscriptions that authorises by Azure RBAC: nothing is written to a
# cluster. Clusters that do not are named at the end; bind the ClusterRole of the Kubernetes manifest there.
#   ./fleet.sh <principal-id> <subscription-id>...
set -euo pipefail
principal=$1
shift

for subscription in "$@"; do
  role="Rampart cluster reader ($subscription)"
  definition=$(cat <<JSON
{
  "Name": "$role",
  "IsCustom": true,
  "Description": "What Rampart reads inside clusters. Secrets are not among it.",
  "Actions": ["Microsoft.ContainerService/managedClusters/listClusterUserCredential/action"],
  "NotActions": [],
  "DataActions": [
{% for action in data_actions %}
    "{{ action }}"{% if not loop.last %},{% endif %}

{% endfor %}
  ],
  "NotDataActions": [],
  "AssignableScopes": ["/subscriptions/$subscription"]
}
JSON
)
  if [ -z "$(az role definition list --name "$role" --scope "/subscriptions/$subscription" --query '[].id' -o tsv)" ]; then
    az role definition create --role-definition "$definition" --output none
  else
    az role definition update --role-definition "$definition" --output none
  fi
  az role assignment create --assignee-object-id "$principal" --assignee-principal-type ServicePrincipal \
    --role "$role" --scope "/subscriptions/$subscription" --output none
  az aks list --subscription "$subscription" \
    --query '[?!(aadProfile.enableAzureRbac)].join(``, [`without Azure RBAC: `, id])' -o tsv
done
