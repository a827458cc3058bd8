# New audio is told to a queue; what a reader fails on five times waits in a second one.

resource "aws_sqs_queue" "unread" {
  count = var.notifications ? 1 : 0

  name                      = "${var.name}-audio-unread"
  message_retention_seconds = 14 * 24 * 3600
  sqs_managed_sse_enabled   = var.kms_key_arn == "" ? true : null
  kms_master_key_id         = var.kms_key_arn == "" ? null : var.kms_key_arn
  tags                      = var.tags
}

resource "aws_sqs_queue" "audio" {
  count = var.notifications ? 1 : 0

  name                       = "${var.name}-audio"
  message_retention_seconds  = 14 * 24 * 3600
  visibility_timeout_seconds = 120
  receive_wait_time_seconds  = 20
  sqs_managed_sse_enabled    = var.kms_key_arn == "" ? true : null
  kms_master_key_id          = var.kms_key_arn == "" ? null : var.kms_key_arn
  tags                       = var.tags

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.unread[0].arn
    maxReceiveCount     = 5
  })
}

resource "aws_sqs_queue_policy" "audio" {
  count = var.notifications ? 1 : 0

  queue_url = aws_sqs_queue.audio[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "ToldByTheBucket"
        Effect    = "Allow"
        Principal = { Service = "s3.amazonaws.com" }
        Action    = ["sqs:SendMessage"]
        Resource  = [aws_sqs_queue.audio[0].arn]
        Condition = { ArnEquals = { "aws:SourceArn" = aws_s3_bucket.this["audio"].arn } }
      }
    ]
  })
}

resource "aws_s3_bucket_notification" "audio" {
  count = var.notifications ? 1 : 0

  bucket     = aws_s3_bucket.this["audio"].id
  depends_on = [aws_sqs_queue_policy.audio]

  queue {
    queue_arn = aws_sqs_queue.audio[0].arn
    events    = ["s3:ObjectCreated:*"]
  }
}

# What `lfk listen` needs besides its policy: read the queue.
resource "aws_iam_policy" "queue" {
  count = var.notifications ? 1 : 0

  name = "${var.name}-listen-queue"
  tags = var.tags

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["sqs:GetQueueUrl", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"]
        Resource = [aws_sqs_queue.audio[0].arn]
      }
    ]
  })
}

resource "aws_iam_role_policy_attachment" "queue" {
  count = var.notifications && contains(keys(var.trust), "listen") ? 1 : 0

  role       = aws_iam_role.role["listen"].name
  policy_arn = aws_iam_policy.queue[0].arn
}
