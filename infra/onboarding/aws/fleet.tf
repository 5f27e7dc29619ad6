# Rights of Rampart inside every EKS cluster of one region: an access entry that puts the role into the group
# rampart-readers. The group is bound by manifest.yaml, once per cluster. No policy of AWS is associated, as the
# smallest of them reads more.

terraform {
  required_providers {
    aws = { source = "hashicorp/aws", version = ">= 5.33" }
  }
}

variable "role_arn" {
  description = "The role that Rampart assumes in this account."
  type        = string
}

variable "exclude" {
  description = "Names of clusters to leave out."
  type        = set(string)
  default     = []
}

data "aws_eks_clusters" "all" {}

resource "aws_eks_access_entry" "rampart" {
  for_each          = setsubtract(data.aws_eks_clusters.all.names, var.exclude)
  cluster_name      = each.value
  principal_arn     = var.role_arn
  kubernetes_groups = ["rampart-readers"]
  type              = "STANDARD"
}
