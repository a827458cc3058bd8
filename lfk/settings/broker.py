"""Kafka: its servers, topics and groups, and the Schema Registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from lfk.settings import forms
from lfk.settings.declaring import declare

setting = partial(declare, "broker")


@dataclass(frozen=True, kw_only=True)
class BrokerSettings:
    bootstrap: str = setting(
        "BOOTSTRAP_SERVERS", "", "Kafka brokers; empty means the embedded broker", flag="--bootstrap-servers"
    )
    api_key: str = setting("API_KEY", "", "Kafka (Confluent Cloud) key; sets SASL_SSL and PLAIN")
    api_secret: str = setting("API_SECRET", "", "Kafka (Confluent Cloud) secret", secret=True)
    registry_url: str = setting("SCHEMA_REGISTRY_URL", "", "Schema Registry; empty means bare UTF-8 JSON")
    registry_key: str = setting("SCHEMA_REGISTRY_KEY", "", "Schema Registry key")
    registry_secret: str = setting("SCHEMA_REGISTRY_SECRET", "", "Schema Registry secret", secret=True)
    registry_ca: str = setting(
        "LFK_SCHEMA_REGISTRY_CA", "", "file with the Schema Registry's authority, if not the system's"
    )
    schema_type: str = setting("SCHEMA_TYPE", "JSON", "how messages are written", choices=("JSON", "Avro"))
    topic_audio: str = setting("LFK_TOPIC_AUDIO", "lfk.audio", "topic of fresh references")
    topic_bulk: str = setting("LFK_TOPIC_BULK", "lfk.audio.bulk", "topic of bulk references")
    topic_chunks: str = setting("LFK_TOPIC_CHUNKS", "lfk.chunks", "topic of audio in messages")
    topic_transcripts: str = setting("LFK_TOPIC_TRANSCRIPTS", "lfk.transcripts", "topic of announcements")
    topic_retry: str = setting("LFK_TOPIC_RETRY", "lfk.audio.retry", "topic of references to be tried again")
    topic_dlq: str = setting("LFK_TOPIC_DLQ", "lfk.audio.dlq", "topic of dead letters")
    group: str = setting("LFK_GROUP", "lfk-hub", "consumer group of the hubs")
    instance: str = setting(
        "LFK_INSTANCE",
        "",
        "static name of this hub in its group, one of its own each; a restart within the session time-out then "
        "moves no partitions",
    )
    partitions: int = setting(
        "LFK_PARTITIONS",
        12,
        "partitions of topics that init creates (≥ 4 × workers in all)",
        parse=forms.count,
        flag="--partitions",
    )
    replication: int = setting(
        "LFK_REPLICATION",
        0,
        "replication factor of created topics; 0 means the broker's default",
        parse=forms.count,
        flag="--replication",
    )
    transactions: str = setting(
        "LFK_TRANSACTIONS",
        "auto",
        "announcement and offsets in one transaction",
        choices=("auto", "on", "off"),
    )
    #: What LFK_KAFKA_* passes on to librdkafka, by librdkafka's own names.
    kafka: Mapping[str, str] = field(default_factory=dict)
