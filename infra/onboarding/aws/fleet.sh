#!/usr/bin/env bash
# Rights of Rampart inside every EKS cluster of some regions: an access entry that puts the role into the group
# rampart-readers, and the manifest that binds the group. Run it again for new clusters: what is there stays.
#   ./fleet.sh <role-arn> <manifest> <region>...
set -euo pipefail
role_arn=$1 manifest=$2
shift 2

kubeconfig=$(mktemp)
trap 'rm -f "$kubeconfig"' EXIT
failed=0
for region in "$@"; do
  for cluster in $(aws eks list-clusters --region "$region" --query 'clusters[]' --output text); do
    echo "== $region $cluster"
    if ! aws eks describe-access-entry --region "$region" --cluster-name "$cluster" --principal-arn "$role_arn" \
      >/dev/null 2>&1; then
      aws eks create-access-entry --region "$region" --cluster-name "$cluster" --principal-arn "$role_arn" \
        --kubernetes-groups "rampart-readers" --type STANDARD >/dev/null || { failed=1; continue; }
    fi
    aws eks update-kubeconfig --region "$region" --name "$cluster" --kubeconfig "$kubeconfig" >/dev/null
    kubectl --kubeconfig "$kubeconfig" apply -f "$manifest" || failed=1
  done
done
exit "$failed"
