//! Azure: subscriptions, AKS, ACR and Arc, as Azure Resource Manager and the registries' data planes answer.
