//! Google Cloud: projects, GKE and Artifact Registry.
