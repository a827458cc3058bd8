resource "aws_msk_cluster" "this" {
  count = var.msk == null ? 0 : 1

  cluster_name           = var.name
  kafka_version          = var.msk.kafka_version
  number_of_broker_nodes = length(var.msk.subnets)
  tags                   = var.tags

  broker_node_group_info {
    instance_type   = var.msk.instance_type
    client_subnets  = var.msk.subnets
    security_groups = var.msk.security_groups

    storage_info {
      ebs_storage_info {
        volume_size = var.msk.volume_gib
      }
    }
  }

  client_authentication {
    sasl {
      scram = true
    }
  }

  encryption_info {
    encryption_at_rest_kms_key_arn = var.kms_key_arn == "" ? null : var.kms_key_arn

    encryption_in_transit {
      client_broker = "TLS"
      in_cluster    = true
    }
  }
}
