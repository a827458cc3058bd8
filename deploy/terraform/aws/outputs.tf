locals {
  bootstrap = var.msk == null ? var.bootstrap_servers : aws_msk_cluster.this[0].bootstrap_brokers_sasl_scram
}

output "environment" {
  description = "What every role of lfk is told; keys come from the instance's or the pod's role."
  value = merge(
    {
      LFK_STORE         = "s3://${local.buckets.store}"
      LFK_AUDIO         = "s3://${local.buckets.audio}"
      LFK_TRANSCRIPTS   = "s3://${local.buckets.transcripts}"
      BOOTSTRAP_SERVERS = local.bootstrap
    },
    # User and password are secrets of their own: LFK_KAFKA_SASL_USERNAME and LFK_KAFKA_SASL_PASSWORD.
    var.msk == null ? {} : {
      LFK_KAFKA_SECURITY_PROTOCOL = "SASL_SSL"
      LFK_KAFKA_SASL_MECHANISMS   = "SCRAM-SHA-512"
    },
    var.notifications ? { LFK_LISTEN_QUEUE = aws_sqs_queue.audio[0].url } : {},
  )
}

output "policy_arns" {
  description = "Role to the policy that it needs."
  value       = { for role, policy in aws_iam_policy.role : role => policy.arn }
}

output "queue_policy_arn" {
  description = "What `lfk listen --source sqs` needs besides the policy of its role; null where no queue was made."
  value       = one(aws_iam_policy.queue[*].arn)
}

output "role_arns" {
  description = "Roles that were made."
  value       = { for role, made in aws_iam_role.role : role => made.arn }
}
