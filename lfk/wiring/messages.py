"""How messages are written: bare JSON, or what a Schema Registry knows of."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

from lfk.core.errors import UnsupportedFeature, UsageError
from lfk.settings import Settings

if TYPE_CHECKING:
    from lfk.brokers.codec import Codec
    from lfk.brokers.registry import Registry
    from lfk.brokers.registry_codec import Subjects
    from lfk.roles.admin import Step
    from lfk.roles.doctor import Check

#: What the serialisers of confluent-kafka need; the first is in none of lfk's other extras.
_NEEDED = ("fastavro", "authlib", "cachetools", "attrs")


def codec(settings: Settings) -> Codec:
    """How messages are written.

    Raises:
        UsageError: SCHEMA_TYPE, SCHEMA_REGISTRY_URL and what belongs to them cannot be used as they are.
        UnsupportedFeature: lfk[avro] is not installed.
    """
    from lfk.brokers.codec import JsonCodec

    if not settings.registry_url:
        if settings.schema_type != "JSON":
            raise UsageError(
                f"SCHEMA_TYPE={settings.schema_type} needs a Schema Registry",
                hint="set SCHEMA_REGISTRY_URL, or unset SCHEMA_TYPE: messages are then bare UTF-8 JSON",
            )
        return JsonCodec()
    registry = _registry(settings)
    from lfk.brokers.registry_codec import RegistryCodec

    return RegistryCodec(registry, _subjects(settings), avro=settings.schema_type == "Avro")


def writing_codec(settings: Settings) -> Codec:
    """A codec with which messages are written: where that cannot be, it is told before any work begins.

    Raises:
        RegistryUnreachable, RegistryError: the Schema Registry does not tell the ids of lfk's schemas.
        UsageError, UnsupportedFeature: as :func:`codec`.
    """
    made = codec(settings)
    made.prepare()
    return made


def register_schemas(settings: Settings) -> Iterator[Step]:
    """Register lfk's schemas where messages are written with a registry, and say what became of each."""
    if settings.registry_url:
        from lfk.brokers.registry_codec import own_schema
        from lfk.roles.schemas import Wanted, make_schemas

        avro = settings.schema_type == "Avro"
        wanted = [Wanted(subject, own_schema(name, avro=avro)) for subject, name in _registered(settings)]
        yield from make_schemas(_registry(settings), wanted, dry_run=settings.dry_run)


def look_at_schemas(settings: Settings) -> Iterator[Check]:
    """Whether the registry answers and holds lfk's schemas."""
    from lfk.brokers.registry_codec import own_schema
    from lfk.roles.schemas import Wanted, look_for_schemas

    avro = settings.schema_type == "Avro"
    wanted = [Wanted(subject, own_schema(name, avro=avro)) for subject, name in _registered(settings)]
    yield from look_for_schemas(_registry(settings), wanted, settings.schema_type)


def _registered(settings: Settings) -> Sequence[tuple[str, str]]:
    """Every subject of a topic that carries messages of one schema, by the registry's usual naming, with the schema."""
    from lfk.brokers.codec import REFERENCE_SCHEMA

    more = ((_subject(topic), REFERENCE_SCHEMA) for topic in (settings.topic_bulk, settings.topic_retry))
    return tuple(dict((*_subjects(settings).schemas(), *more)).items())


def _subjects(settings: Settings) -> Subjects:
    from lfk.brokers.registry_codec import Subjects

    return Subjects(
        references=_subject(settings.topic_audio),
        chunks=_subject(settings.topic_chunks),
        announcements=_subject(settings.topic_transcripts),
    )


def _subject(topic: str) -> str:
    return f"{topic}-value"


def _registry(settings: Settings) -> Registry:
    _require_installed()
    if bool(settings.registry_key) != bool(settings.registry_secret):
        missing = "SCHEMA_REGISTRY_KEY" if settings.registry_secret else "SCHEMA_REGISTRY_SECRET"
        raise UsageError(f"{missing} is not set", hint="SCHEMA_REGISTRY_KEY and SCHEMA_REGISTRY_SECRET belong together")
    return _opened(settings.registry_url, settings.registry_key, settings.registry_secret, settings.registry_ca)


@cache
def _opened(url: str, key: str, secret: str, ca: str) -> Registry:
    """One for a process: its roles then share what was looked up."""
    from lfk.brokers.registry import Registry

    return Registry(url, key=key, secret=secret, ca=ca)


def _require_installed() -> None:
    if any(importlib.util.find_spec(name) is None for name in _NEEDED):
        raise UnsupportedFeature(
            "messages with a Schema Registry need an extra that is not installed here",
            hint="pip install 'lfk[avro]', or unset SCHEMA_REGISTRY_URL",
        )
