"""Turns settings into stores, brokers, engines and roles. The only place that names concrete classes."""

from lfk.wiring.admin import init_steps, look_around, open_lengths
from lfk.wiring.batch import chosen, estimated, look_at_batch, open_batches, open_check, open_republish, open_submit
from lfk.wiring.broker import (
    announce_broker,
    broker_record,
    find_broker,
    real_broker,
    reference_sender,
    running_broker,
    topic_plans,
    withdraw_broker,
)
from lfk.wiring.doctor import doctor_looks, shown_settings
from lfk.wiring.engines import engine_kind, worker_count
from lfk.wiring.failures import failure_choice, open_failures, open_retrier
from lfk.wiring.hubs import open_hub
from lfk.wiring.listening import open_listener
from lfk.wiring.messages import codec
from lfk.wiring.places import open_store, place, roots, store_root
from lfk.wiring.reading import open_reader, prints_texts, read_announcements, reader_group
from lfk.wiring.references import confirm_topic, references_wait, rendering, request
from lfk.wiring.syncing import open_sync, open_watcher, sync_job, watching
from lfk.wiring.telemetry import Telemetry, open_telemetry, serve_backlog
from lfk.wiring.web import open_web

__all__ = [
    "Telemetry",
    "announce_broker",
    "broker_record",
    "chosen",
    "codec",
    "confirm_topic",
    "doctor_looks",
    "engine_kind",
    "estimated",
    "failure_choice",
    "find_broker",
    "init_steps",
    "look_around",
    "look_at_batch",
    "open_batches",
    "open_check",
    "open_failures",
    "open_hub",
    "open_lengths",
    "open_listener",
    "open_reader",
    "open_republish",
    "open_retrier",
    "open_store",
    "open_submit",
    "open_sync",
    "open_telemetry",
    "open_watcher",
    "open_web",
    "place",
    "prints_texts",
    "read_announcements",
    "reader_group",
    "real_broker",
    "reference_sender",
    "references_wait",
    "rendering",
    "request",
    "roots",
    "running_broker",
    "serve_backlog",
    "shown_settings",
    "store_root",
    "sync_job",
    "topic_plans",
    "watching",
    "withdraw_broker",
    "worker_count",
]
