data "aws_partition" "this" {}

module "access" {
  source = "./access"

  kms_key_arn = var.kms_key_arn
  partition   = data.aws_partition.this.partition

  places = {
    audio       = { bucket = local.buckets.audio, prefix = "" }
    transcripts = { bucket = local.buckets.transcripts, prefix = "" }
    records     = { bucket = local.buckets.store, prefix = ".lfk/" }
    models      = { bucket = local.buckets.store, prefix = "models/" }
  }
}

resource "aws_iam_policy" "role" {
  for_each = module.access.policies

  name   = "${var.name}-${each.key}"
  policy = each.value
  tags   = var.tags
}

resource "aws_iam_role" "role" {
  for_each = var.trust

  name               = "${var.name}-${each.key}"
  assume_role_policy = each.value
  tags               = var.tags
}

resource "aws_iam_role_policy_attachment" "role" {
  for_each = var.trust

  role       = aws_iam_role.role[each.key].name
  policy_arn = aws_iam_policy.role[each.key].arn
}
