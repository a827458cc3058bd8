"""What the doctor shows of the settings, and what it looks at."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from lfk.brokers.base import Broker
from lfk.environment import KAFKA_PREFIX
from lfk.settings import Settings, is_kafka_secret, specs, value_text
from lfk.wiring.broker import find_broker, topic_plans
from lfk.wiring.engines import engine_kind, worker_count
from lfk.wiring.messages import codec, look_at_schemas
from lfk.wiring.places import open_store, roots
from lfk.wiring.references import rendering

if TYPE_CHECKING:
    from lfk.roles.doctor import Check, Look
    from lfk.stores.base import ObjectStore

MASK = "****"
#: User and password in an address.
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


@dataclass(frozen=True, slots=True)
class Shown:
    """A setting as it may be shown."""

    name: str
    value: str
    source: str
    group: str


def shown_settings(settings: Settings) -> Iterator[Shown]:
    """Every setting in force, secrets masked; what is passed on to librdkafka comes last."""
    for field, spec in specs().items():
        value = value_text(spec, getattr(settings, field))
        masked = MASK if spec.secret and value else _CREDENTIALS.sub(f"{MASK}@", value)
        yield Shown(spec.env, masked, settings.sources.get(spec.env, "default"), spec.group)
    for name, value in settings.kafka.items():
        masked = MASK if is_kafka_secret(name) else value
        yield Shown(f"{KAFKA_PREFIX}{name.replace('.', '_').upper()}", masked, "environment or .env", "broker")


#: Who sets one of these means to run a listener.
_LISTENING = (
    "LFK_LISTEN_SOURCE", "LFK_LISTEN_ON", "LFK_LISTEN_QUEUE", "LFK_LISTEN_RECONCILE", "LFK_WEBHOOK_ADDRESS"
)  # fmt: skip


#: What the keys of one role may look at (docs/access.md): its looks, and its topics by their settings.
_LOOKS = {
    "producer": ("settings", "audio", "forgotten", "tombstones", "broker", "registry"),
    "hub": (
        *("settings", "store", "audio", "transcripts", "writing", "broker", "registry"),
        *("engine", "ffmpeg", "gpu", "scratch"),
    ),
    "listen": (
        *("settings", "audio", "transcripts", "owners", "failed", "batches", "tombstones"),
        *("broker", "registry", "listen"),
    ),
    "gateway": ("settings", "audio", "forgotten", "broker", "registry", "scratch"),
    "consumer": ("settings", "keys", "broker", "registry"),
    "web": ("settings", "audio", "transcripts", "owners", "failed", "hubs", "speakers", "broker", "registry"),
}
_TOPICS = {
    "producer": ("topic_audio", "topic_bulk"),
    "hub": ("topic_audio", "topic_bulk", "topic_retry", "topic_dlq", "topic_transcripts"),
    "listen": ("topic_audio",),
    "gateway": ("topic_chunks", "topic_audio", "topic_transcripts", "topic_dlq"),
    "consumer": ("topic_transcripts",),
    "web": ("topic_audio", "topic_bulk", "topic_retry", "topic_transcripts"),
}
#: What a page that takes changes looks at besides.
_CHANGING = ("tombstones", "forgotten", "scratch")
#: Folders of lfk's records that some roles may look into, and not beside.
_RECORDS = ("owners", "failed", "batches", "hubs", "speakers", "tombstones", "forgotten")


def doctor_looks(settings: Settings, role: str | None = None) -> Mapping[str, Look]:
    """What to look at, in order; each look opens what it needs, so that one which cannot does not stop the others.

    With a role, one of those that docs/access.md has, only what its keys have to reach.
    """
    from lfk.roles import doctor

    store = cache(lambda: open_store(settings))
    scratch = Path(settings.scratch) if settings.scratch else None
    looks: dict[str, Look] = {
        "settings": partial(_look_at_settings, settings),
        # Not the store's root, which holds nothing itself: no role needs a right to list it.
        "store": lambda: doctor.look_at_place(store(), roots(settings).records),
        "audio": lambda: doctor.look_at_place(store(), roots(settings).audio),
        "transcripts": lambda: doctor.look_at_place(store(), roots(settings).transcripts),
        "writing": lambda: doctor.look_at_writing(store(), roots(settings).records),
        "broker": lambda: _look_at_broker(settings, store(), role),
        **({"registry": lambda: look_at_schemas(settings)} if settings.registry_url else {}),
        "listen": lambda: _look_at_listening(settings, asked=role is not None),
        "engine": lambda: _look_at_engine(settings, store()),
        "ffmpeg": doctor.look_for_ffmpeg,
        "gpu": lambda: doctor.look_for_gpu(settings.device),
        "scratch": lambda: doctor.look_at_scratch(scratch, settings.scratch_bytes),
    }
    if role is None:
        return looks
    # In place of a listing, which a consumer's keys may not make.
    looks["keys"] = lambda: doctor.look_at_keys(store(), roots(settings).transcripts)
    for folder in _RECORDS:
        looks[folder] = partial(_look_into_records, settings, store, folder)
    more = _CHANGING if role == "web" and settings.web_token else ()
    return {name: looks[name] for name in (*_LOOKS[role], *more) if name in looks}


def _look_into_records(settings: Settings, store: Callable[[], ObjectStore], folder: str) -> Iterator[Check]:
    from lfk.roles import doctor

    yield from doctor.look_at_place(store(), roots(settings).records.join(folder).as_prefix())


def _look_at_settings(settings: Settings) -> Iterator[Check]:
    from lfk.roles.doctor import Check, Verdict

    for warning in settings.warnings:
        yield Check("settings", Verdict.WARN, warning, "correct or remove it")
    # Each of these refuses what it cannot use.
    roots(settings)
    codec(settings)
    rendering(settings)
    yield Check("settings", Verdict.OK, f"{len(specs())} settings can be used as they are")


def _look_at_broker(settings: Settings, store: ObjectStore, role: str | None) -> Iterator[Check]:
    from lfk.roles import doctor

    broker: Broker | None = find_broker(settings, store)
    if broker is None:
        text = "no embedded broker runs on this store; references wait in its outbox"
        yield doctor.Check("broker", doctor.Verdict.OK, text, "start `lfk up` or `lfk hub`, or set BOOTSTRAP_SERVERS")
        return
    yield from doctor.look_at_broker(broker)
    if settings.bootstrap:
        work = (settings.topic_audio, settings.topic_retry, settings.topic_bulk)
        plans = topic_plans(settings)
        if role is not None:
            reached = {getattr(settings, field) for field in _TOPICS[role]}
            plans = [plan for plan in plans if plan.name in reached]
        # How many workers there are is of no concern to who only sends or receives.
        read_by_hubs = work if role in (None, "hub") else ()
        # How topics are set is for an operator to see, whose keys may ask for it.
        states = broker.describe([plan.name for plan in plans]) if role is None else doctor.partitions_of(broker, plans)
        yield from doctor.look_at_topics(states, plans, worker_count(settings), read_by_hubs)
        # Under a name that the role may use, and that no member of its group ever has.
        tried = {None: "lfk-check", "hub": f"{settings.group}-check", "gateway": f"{settings.chunk_group}-check"}
        if role in tried:
            yield from doctor.look_at_transactions(broker, tried[role])


def _look_at_listening(settings: Settings, *, asked: bool) -> Iterator[Check]:
    """Only where something was said of it, or it was ``asked`` for: most machines run no listener."""
    from lfk.roles import doctor
    from lfk.wiring.listening import open_source

    if not asked and all(settings.sources.get(name, "default") == "default" for name in _LISTENING):
        return
    with open_source(settings) as source:
        yield doctor.Check("listen", doctor.Verdict.OK, source.check())


def _look_at_engine(settings: Settings, store: ObjectStore) -> Iterator[Check]:
    from lfk.roles import doctor
    from lfk.wiring.models import open_library, stored_models

    if settings.engine == "whisperx":
        found = list(doctor.look_for_module("whisperx", "hub"))
        yield from found
        if any(check.verdict is not doctor.Verdict.OK for check in found):
            return
    catalogue = roots(settings).catalogue
    exact = catalogue.served_by[catalogue.require(settings.default_model)]
    yield from doctor.look_at_engine(engine_kind(settings), exact, settings.model_fallbacks.get(exact))
    if settings.engine == "whisperx":
        here = open_library(settings, None).find("embedding") is not None
        yield from doctor.look_for_voices(here or "embedding" in stored_models(settings, store).names())
