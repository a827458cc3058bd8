"""What tells of new objects in a store: one protocol over MinIO's own stream, a queue of SQS, and a webhook."""
