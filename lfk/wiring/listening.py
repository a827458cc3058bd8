"""Listen: settings into what tells of new objects, and who makes references of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lfk.core.errors import UsageError
from lfk.roles.sender import ReferenceSender
from lfk.settings import Settings
from lfk.stores.base import ObjectStore
from lfk.wiring.broker import reference_sender
from lfk.wiring.places import marker_name, roots
from lfk.wiring.references import confirm_topic

if TYPE_CHECKING:
    from lfk.roles.listen import Listener
    from lfk.roles.listen_events import ListenEvent
    from lfk.roles.listen_job import ListenJob
    from lfk.roles.tracing import Tracer
    from lfk.stores.notifications.base import Source
    from lfk.stores.s3_connection import Connection
    from lfk.wiring.telemetry import Telemetry


def open_listener(
    settings: Settings,
    store: ObjectStore,
    report: Callable[[ListenEvent], None],
    stop: threading.Event,
    telemetry: Telemetry,
) -> Listener:
    """A listener; it opens connections when it runs, and anew after every outage.

    ``telemetry`` tells how it is, and what it has done.

    Raises:
        UsageError: the settings name nothing that could be listened to.
    """
    from lfk.roles.listen import Listener
    from lfk.roles.listen_readings import of_event, of_summary

    job = _job(settings)
    counted = telemetry.page.told(report, of_event)
    listener = Listener(
        job, _source(settings, job), store, lambda: _sender(settings, store, telemetry.tracer), counted, stop
    )
    telemetry.page.show("listen", lambda: listener.pulse.health(stop), lambda: of_summary(listener.summary))
    return listener


def open_source(settings: Settings) -> Source:
    """What tells of new objects, as the settings want it; see :func:`open_listener`."""
    return _source(settings, _job(settings))


def _job(settings: Settings) -> ListenJob:
    from lfk.roles.listen_job import ListenJob

    where = roots(settings)
    if where.audio.scheme != "s3":
        raise UsageError(
            f"{where.audio} is a folder, and folders send no notifications",
            hint="name a bucket with --store, or use `lfk up` or `lfk sync --watch` for a folder",
        )
    marker = marker_name(settings) if settings.listen_on == "done-marker" else ""
    return ListenJob(roots=where, marker=marker, reconcile=settings.listen_reconcile)


def _source(settings: Settings, job: ListenJob) -> Source:
    if settings.listen_source == "webhook":
        from lfk.stores.notifications.webhook import WebhookNotifications

        return WebhookNotifications(settings.webhook_address, settings.webhook_token)
    if settings.listen_source == "sqs":
        from lfk.stores.notifications.sqs import SqsNotifications

        return SqsNotifications(
            _connection(settings), settings.listen_queue, endpoint_url=settings.sqs_endpoint or None
        )
    from lfk.stores.notifications.minio import MinioNotifications

    return MinioNotifications(_connection(settings), job.roots.audio)


def _connection(settings: Settings) -> Connection:
    from lfk.stores.s3_connection import Connection, Endpoint

    return Connection(
        Endpoint(
            endpoint_url=settings.endpoint_url or None,
            region=settings.region or None,
            access_key=settings.access_key or None,
            secret_key=settings.secret_key or None,
            session_token=settings.session_token or None,
        )
    )


@contextmanager
def _sender(settings: Settings, store: ObjectStore, tracer: Tracer | None) -> Iterator[ReferenceSender]:
    confirm_topic(settings, settings.topic_audio)
    sender = reference_sender(settings, store, "listen", tracer=tracer)
    try:
        yield sender
    finally:
        sender.close()
