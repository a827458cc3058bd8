# The table of deploy/access.json as IAM policies. Needs no provider, so that it can be evaluated anywhere:
# tests compare what comes out with what MinIO is tested with.

terraform {
  required_version = ">= 1.5"
}

variable "places" {
  description = "Where audio, transcripts, records and models are: a bucket, and a prefix that is empty or ends in a slash."
  type = map(object({
    bucket = string
    prefix = string
  }))

  validation {
    condition     = length(setsubtract(["audio", "transcripts", "records", "models"], keys(var.places))) == 0
    error_message = "Say where audio, transcripts, records and models are."
  }
  validation {
    condition     = alltrue([for place in values(var.places) : place.prefix == "" || endswith(place.prefix, "/")])
    error_message = "A prefix is empty or ends in a slash."
  }
}

variable "kms_key_arn" {
  description = "The key that the buckets are encrypted with; empty for the keys of S3 itself."
  type        = string
  default     = ""
}

variable "partition" {
  description = "aws, aws-cn or aws-us-gov."
  type        = string
  default     = "aws"
}

locals {
  table   = jsondecode(file("${path.module}/../../../access.json"))
  actions = local.table.actions

  # What a role may do, with what it takes over from another one.
  grants = {
    for role, data in local.table.roles :
    role => concat(try(local.table.roles[data.extends].grants, []), data.grants)
  }

  rights = {
    for role, granted in local.grants : role => [
      for grant in granted : {
        bucket  = "arn:${var.partition}:s3:::${var.places[grant.place].bucket}"
        prefix  = "${var.places[grant.place].prefix}${try(grant.below, "")}"
        objects = distinct(flatten([for verb in grant.may : try(local.actions[verb].object, [])]))
        listing = distinct(flatten([for verb in grant.may : try(local.actions[verb].bucket, [])]))
        whole = distinct(flatten([
          for verb in grant.may : concat(
            try(local.actions[verb].whole_bucket, []),
            # Needless where listing has no condition anyway.
            "${var.places[grant.place].prefix}${try(grant.below, "")}" != "" ? try(local.actions[verb].whole_bucket_aws, []) : [],
          )
        ]))
      }
    ]
  }

  of_objects = {
    for role, rights in local.rights : role => [
      for right in rights : {
        Effect   = "Allow"
        Action   = sort(right.objects)
        Resource = ["${right.bucket}/${right.prefix}*"]
      } if length(right.objects) > 0
    ]
  }

  # A place that has its bucket to itself is listed without a condition.
  of_listings = {
    for role, rights in local.rights : role => [
      for right in rights : merge(
        {
          Effect   = "Allow"
          Action   = sort(right.listing)
          Resource = [right.bucket]
        },
        { for key, value in { Condition = { StringLike = { "s3:prefix" = ["${right.prefix}*"] } } } : key => value if right.prefix != "" }
      ) if length(right.listing) > 0
    ]
  }

  # What no prefix can bound. Among it is what the table calls "miss": AWS answers 403 instead of 404 for an object that
  # is missing to whoever may list a prefix only.
  of_whole_buckets = {
    for role, rights in local.rights : role => [
      for bucket in distinct([for right in rights : right.bucket if length(right.whole) > 0]) : {
        Effect   = "Allow"
        Action   = sort(distinct(flatten([for right in rights : right.whole if right.bucket == bucket])))
        Resource = [bucket]
      }
    ]
  }

  # Whoever reads has to decrypt, and an upload in parts reads what it has encrypted.
  of_keys = {
    for role, granted in local.grants : role => [
      {
        Effect   = "Allow"
        Action   = anytrue([for grant in granted : contains(grant.may, "write")]) ? ["kms:Decrypt", "kms:GenerateDataKey"] : ["kms:Decrypt"]
        Resource = [var.kms_key_arn]
      }
    ] if var.kms_key_arn != ""
  }
}

output "policies" {
  description = "Role to policy, as JSON."
  value = {
    for role in keys(local.grants) : role => jsonencode({
      Version = "2012-10-17"
      Statement = concat(
        local.of_objects[role],
        local.of_listings[role],
        local.of_whole_buckets[role],
        try(local.of_keys[role], []),
      )
    })
  }
}
