#!/usr/bin/env bash
# Read-only access for Rampart to one Google Cloud project, without a key. Generated from the calls that Rampart's code
# makes: no permission more. Run it again after an update: what is there is brought up to date.
#   ./rampart.sh <project> [<issuer> <tenant>:<connector>]
set -euo pipefail
project=$1
issuer=${2:-}
subject=${3:-}
: "${issuer:?give the issuer}" "${subject:?give the subject}"
number=$(gcloud projects describe "$project" --format='value(projectNumber)')
pool="projects/$number/locations/global/workloadIdentityPools/rampart"
permissions=$(tr -d ' \n' <<'LIST'
artifactregistry.dockerimages.list,
artifactregistry.locations.list,
artifactregistry.repositories.getIamPolicy,
artifactregistry.repositories.list,
compute.firewalls.list,
compute.subnetworks.list,
container.clusters.connect,
container.clusters.list,
resourcemanager.projects.get,
resourcemanager.projects.getIamPolicy,
serviceusage.services.list
LIST
)

verb=create
if gcloud iam roles describe rampartReader --project "$project" >/dev/null 2>&1; then verb=update; fi
gcloud iam roles "$verb" rampartReader --project "$project" --quiet --title 'Rampart reader' --permissions "$permissions"
if ! gcloud iam workload-identity-pools describe rampart --project "$project" --location global >/dev/null 2>&1; then
  gcloud iam workload-identity-pools create rampart --project "$project" --location global --display-name Rampart
fi
verb=create-oidc
if gcloud iam workload-identity-pools providers describe rampart --project "$project" --location global \
  --workload-identity-pool rampart >/dev/null 2>&1; then verb=update-oidc; fi
gcloud iam workload-identity-pools providers "$verb" rampart --project "$project" --location global \
  --workload-identity-pool rampart --issuer-uri "$issuer" --attribute-mapping 'google.subject=assertion.sub' \
  --attribute-condition "assertion.sub == '$subject'"
gcloud projects add-iam-policy-binding "$project" --quiet --condition None \
  --role "projects/$project/roles/rampartReader" --member "principal://iam.googleapis.com/$pool/subject/$subject"
echo "provider: $pool/providers/rampart"
