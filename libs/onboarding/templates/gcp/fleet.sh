#!/usr/bin/env bash
# Rights of Rampart inside every GKE cluster of some projects: IAM decides there, nothing is written to a cluster.
{% if ungoverned %}
# IAM does not know these; bind the ClusterRole of the Kubernetes manifest where they matter:
{% for permission in ungoverned %}
#   {{ permission }}
{% endfor %}
{% endif %}
#   ./fleet.sh <member> <project>...      member: principal://..., or serviceAccount:<email>
set -euo pipefail
member=$1
shift
permissions=$(tr -d ' \n' <<'LIST'
{% for permission in gke_permissions %}
{{ permission }}{% if not loop.last %},{% endif %}

{% endfor %}
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
