variable "name" {
  description = "What every name begins with; bucket names have to be unique in the world."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "Use 3 to 32 lower-case letters, digits and hyphens."
  }
}

variable "kms_key_arn" {
  description = "Encrypt the buckets and the queue with this key; empty for the keys of S3 and SQS themselves. Its policy has to let s3.amazonaws.com use it where `notifications` is on."
  type        = string
  default     = ""
}

variable "versioning" {
  description = "Keep earlier versions of objects. `lfk forget` removes those, too."
  type        = bool
  default     = false
}

variable "noncurrent_days" {
  description = "Days after which earlier versions go. lfk's own records are rewritten every few seconds: keep it short."
  type        = number
  default     = 7
}

variable "audio_days" {
  description = "Days after which stored audio goes, whether or not it has a transcript; 0 keeps it."
  type        = number
  default     = 0
}

variable "notifications" {
  description = "Tell a queue of new audio, for `lfk listen --source sqs`."
  type        = bool
  default     = false
}

variable "trust" {
  description = "Role (producer, hub, hub-without-backups, listen, gateway, consumer, web, web-with-token, operator) to the policy that says who may assume it, as JSON. Roles that are left out get a policy alone."
  type        = map(string)
  default     = {}

  validation {
    condition     = length(setsubtract(keys(var.trust), ["producer", "hub", "hub-without-backups", "listen", "gateway", "consumer", "web", "web-with-token", "operator"])) == 0
    error_message = "The roles are producer, hub, hub-without-backups, listen, gateway, consumer, web, web-with-token and operator."
  }
}

variable "bootstrap_servers" {
  description = "A Kafka that is there already (Confluent Cloud, or any other); empty if `msk` makes one."
  type        = string
  default     = ""
}

variable "msk" {
  description = "Make an MSK cluster: SASL/SCRAM over TLS, encrypted disks. Null makes none. Its users are secrets whose names begin with AmazonMSK_, associated with the cluster by you."
  type = object({
    subnets         = list(string)
    security_groups = list(string)
    instance_type   = optional(string, "kafka.t3.small")
    volume_gib      = optional(number, 50)
    kafka_version   = optional(string, "3.8.x")
  })
  default = null
}

variable "tags" {
  description = "Tags of everything."
  type        = map(string)
  default     = {}
}
