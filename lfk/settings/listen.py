"""Notifications of new objects: from where, and what they start."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from lfk.settings import forms
from lfk.settings.declaring import declare

setting = partial(declare, "listen")


@dataclass(frozen=True, kw_only=True)
class ListenSettings:
    listen_source: str = setting(
        "LFK_LISTEN_SOURCE",
        "minio",
        "what tells of new objects",
        flag="--source",
        choices=("minio", "sqs", "webhook"),
    )
    listen_on: str = setting(
        "LFK_LISTEN_ON",
        "each",
        "refer to each object, or to all below a prefix once its done-marker is there",
        flag="--on",
        choices=("each", "done-marker"),
    )
    marker_name: str = setting("LFK_MARKER_NAME", "done.txt", "name of done-markers", flag="--marker-name")
    listen_reconcile: float = setting(
        "LFK_LISTEN_RECONCILE",
        900.0,
        "seconds between looks for what no notification told of; 0 means only where some may be lost",
        parse=forms.seconds,
        flag="--reconcile",
    )
    listen_queue: str = setting("LFK_LISTEN_QUEUE", "", "SQS queue: its URL or name", flag="--queue")
    sqs_endpoint: str = setting("AWS_ENDPOINT_URL_SQS", "", "SQS endpoint, if not AWS's")
    webhook_address: str = setting(
        "LFK_WEBHOOK_ADDRESS",
        "127.0.0.1:8790",
        "host:port that notifications are posted to",
        flag="--address",
    )
    webhook_token: str = setting(
        "LFK_WEBHOOK_TOKEN", "", "what senders have to bear; needed beyond loopback", secret=True
    )
