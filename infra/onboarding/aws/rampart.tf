# Read-only access for Rampart to one AWS account. Generated from the calls that Rampart's code makes: no action more.

terraform {
  required_providers {
    aws = { source = "hashicorp/aws", version = ">= 5.30" }
  }
}

variable "role_name" {
  type    = string
  default = "rampart"
}

variable "trust" {
  description = "external_id (Rampart's AWS identity with an external id) or web_identity (a statement of Rampart's OIDC issuer)."
  type        = string
  default     = "external_id"
  validation {
    condition     = contains(["external_id", "web_identity"], var.trust)
    error_message = "trust must be external_id or web_identity."
  }
}

variable "rampart_principal" {
  description = "ARN of the AWS identity that Rampart runs as; needed with external_id."
  type        = string
  default     = null
}

variable "external_id" {
  description = "The external id that Rampart generated for the connector; needed with external_id."
  type        = string
  default     = null
}

variable "issuer" {
  description = "Rampart's issuer without https://; needed with web_identity."
  type        = string
  default     = null
}

variable "subject" {
  description = "Tenant and connector as <tenant>:<connector>; needed with web_identity."
  type        = string
  default     = null
}

locals {
  by_web_identity = var.trust == "web_identity"
}

resource "aws_iam_openid_connect_provider" "rampart" {
  count          = local.by_web_identity ? 1 : 0
  url            = "https://${var.issuer}"
  client_id_list = ["sts.amazonaws.com"]
}

data "aws_iam_policy_document" "trust" {
  dynamic "statement" {
    for_each = local.by_web_identity ? [] : [1]
    content {
      actions = ["sts:AssumeRole"]
      principals {
        type        = "AWS"
        identifiers = [var.rampart_principal]
      }
      condition {
        test     = "StringEquals"
        variable = "sts:ExternalId"
        values   = [var.external_id]
      }
    }
  }
  dynamic "statement" {
    for_each = local.by_web_identity ? [1] : []
    content {
      actions = ["sts:AssumeRoleWithWebIdentity"]
      principals {
        type        = "Federated"
        identifiers = [aws_iam_openid_connect_provider.rampart[0].arn]
      }
      condition {
        test     = "StringEquals"
        variable = "${var.issuer}:aud"
        values   = ["sts.amazonaws.com"]
      }
      condition {
        test     = "StringEquals"
        variable = "${var.issuer}:sub"
        values   = [var.subject]
      }
    }
  }
}

data "aws_iam_policy_document" "read" {
  statement {
    sid       = "Read"
    resources = ["*"]
    actions = [
      "account:ListRegions",
      "ecr:DescribeImages",
      "ecr:DescribeRepositories",
      "ecr:GetLifecyclePolicy",
      "ecr:GetRegistryScanningConfiguration",
      "ecr:GetRepositoryPolicy",
      "eks:DescribeAccessEntry",
      "eks:DescribeAddon",
      "eks:DescribeCluster",
      "eks:DescribeFargateProfile",
      "eks:DescribeIdentityProviderConfig",
      "eks:DescribeNodegroup",
      "eks:DescribePodIdentityAssociation",
      "eks:ListAccessEntries",
      "eks:ListAddons",
      "eks:ListAssociatedAccessPolicies",
      "eks:ListClusters",
      "eks:ListFargateProfiles",
      "eks:ListIdentityProviderConfigs",
      "eks:ListNodegroups",
      "eks:ListPodIdentityAssociations",
      "iam:GetAccountAuthorizationDetails",
      "logs:DescribeLogGroups",
      "sts:GetCallerIdentity",
    ]
  }
}

resource "aws_iam_role" "rampart" {
  name               = var.role_name
  description        = "Read by Rampart"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_policy" "read" {
  name   = "${var.role_name}-read"
  policy = data.aws_iam_policy_document.read.json
}

resource "aws_iam_role_policy_attachment" "read" {
  role       = aws_iam_role.rampart.name
  policy_arn = aws_iam_policy.read.arn
}

output "role_arn" {
  description = "Give this to Rampart as role_arn."
  value       = aws_iam_role.rampart.arn
}
