"""The Schema Registry, through Confluent's client: bounded in time, remembered, its errors mapped to ours.

What schemas say is as hostile as what messages say: those that are fetched by the id of a message are looked at by
:mod:`lfk.brokers.avro_guard` before anything is decoded with them, and no rule that is attached to one is ever run.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from confluent_kafka.schema_registry import RegisteredSchema, Schema, SchemaRegistryClient
from confluent_kafka.schema_registry._sync import schema_registry_client as vendor
from confluent_kafka.schema_registry.error import SchemaRegistryError

from lfk.brokers.avro_guard import refuse_unsafe
from lfk.core.errors import (
    MalformedMessage,
    RegistryDenied,
    RegistryError,
    RegistryUnreachable,
    SchemaMissing,
    SchemaRefused,
    UsageError,
)
from lfk.core.printable import printable

#: One try, and how long it pauses before the next; with both tries an outage is told after at most about six seconds.
_TRY_SECONDS = 3.0
_TRIES = 2
_PAUSE_MS = 200
#: Ids of messages that are remembered, and for how long one that the registry does not know stays unknown: somebody
#: who sends messages with made-up ids must not keep the registry busy.
_REMEMBERED = 1000
_UNKNOWN_SECONDS = 10.0
_TEXT_LIMIT = 300

_AVRO = "AVRO"
_JSON = "JSON"

#: Which of httpx and its successor the client uses is its own affair.
_TRANSPORT: type[Exception] = vars(vendor)["httpx"].TransportError

_UNAUTHORISED = frozenset({401, 403, 407})
_NOT_FOUND, _CONFLICT, _UNPROCESSABLE, _BUSY, _TIMEOUT = 404, 409, 422, 429, 408


@dataclass(frozen=True, slots=True)
class _Unknown:
    """An id whose messages are refused, why, and until when (monotonic seconds) that is believed."""

    reason: str
    until: float


class Registry:
    """See the module. Safe for use by several threads."""

    def __init__(self, url: str, *, key: str = "", secret: str = "", ca: str = "") -> None:
        """``ca``: file with the certificate of the registry's authority, where it is none of the system's.

        Raises:
            UsageError: the client cannot be set up like that.
        """
        #: For people; without credentials.
        self.address = ", ".join(_shown(one) for one in url.split(","))
        _require_http(url)
        config: dict[str, Any] = {
            "url": url,
            "timeout": _TRY_SECONDS,
            "max.retries": _TRIES - 1,
            "retries.wait.ms": _PAUSE_MS,
            "retries.max.wait.ms": _PAUSE_MS,
        }
        if key or secret:
            config["basic.auth.user.info"] = f"{key}:{secret}"
        if ca:
            config["ssl.ca.location"] = ca
        try:
            self._client = SchemaRegistryClient(config)
        except (ValueError, TypeError, OSError) as error:
            # Its words may hold the address with the credentials in it.
            raise UsageError(
                f"the Schema Registry's client cannot be set up: {type(error).__name__}",
                hint="check SCHEMA_REGISTRY_URL, SCHEMA_REGISTRY_KEY, SCHEMA_REGISTRY_SECRET and "
                "LFK_SCHEMA_REGISTRY_CA",
            ) from error
        self._lock = threading.Lock()
        self._written: OrderedDict[int, Schema | _Unknown] = OrderedDict()

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    # --- by id, for readers

    def knows(self, schema_id: int) -> bool:
        """Whether :meth:`schema` has its answer at hand."""
        with self._lock:
            return self._remembered(schema_id) is not None

    def schema(self, schema_id: int) -> Schema:
        """The schema that a message was written with; safe to decode with.

        Raises:
            MalformedMessage: there is none of that id, or it is not one that lfk decodes with.
            RegistryUnreachable, RegistryError: the registry cannot tell now.
        """
        with self._lock:
            found = self._remembered(schema_id)
        if found is None:
            found = self._fetch(schema_id)
            self._remember(schema_id, found)
        if isinstance(found, _Unknown):
            raise MalformedMessage(found.reason)
        return found

    def _remembered(self, schema_id: int) -> Schema | _Unknown | None:
        found = self._written.get(schema_id)
        if isinstance(found, _Unknown) and time.monotonic() >= found.until:
            del self._written[schema_id]
            return None
        if found is not None:
            self._written.move_to_end(schema_id)
        return found

    def _remember(self, schema_id: int, found: Schema | _Unknown) -> None:
        with self._lock:
            self._written[schema_id] = found
            while len(self._written) > _REMEMBERED:
                self._written.popitem(last=False)

    def _fetch(self, schema_id: int) -> Schema | _Unknown:
        until = time.monotonic() + _UNKNOWN_SECONDS
        try:
            with self._border(f"looking up schema {schema_id}"):
                schema = self._client.get_schema(schema_id)
        except SchemaMissing:
            return _Unknown(f"the message names schema {schema_id}, which the Schema Registry does not have", until)
        try:
            if schema.schema_type == _AVRO:
                refuse_unsafe(schema.schema_str or "", bool(schema.references))
            elif schema.schema_type != _JSON:
                raise MalformedMessage("it is neither Avro nor JSON Schema")
        except MalformedMessage as error:
            return _Unknown(f"the message's schema {schema_id} is not one that is decoded with: {error}", until)
        return schema

    # --- by subject, for writers

    def find(self, subject: str, schema: Schema) -> RegisteredSchema:
        """A schema of lfk's as it is registered under a subject; messages of its id can be read from here on.

        Raises:
            SchemaMissing: it is not.
            RegistryUnreachable, RegistryError: the registry cannot tell.
        """
        with self._border(f"looking for lfk's schema under {subject}"):
            found = self._client.lookup_schema(subject, schema)
        if found.schema_id is not None:
            self._remember(found.schema_id, schema)
        return found

    def fits(self, subject: str, schema: Schema) -> bool:
        """Whether a subject's compatibility rules let a schema in; a new subject has none."""
        try:
            with self._border(f"comparing schemas under {subject}"):
                return self._client.test_compatibility(subject, schema)
        except SchemaMissing:
            return True

    def register(self, subject: str, schema: Schema) -> None:
        """Register a schema.

        Raises:
            SchemaRefused: it is not compatible with those that are there.
            RegistryDenied: these credentials may not.
        """
        with self._border(f"registering lfk's schema under {subject}"):
            self._client.register_schema(subject, schema)

    def check(self, subject: str) -> None:
        """Ask for something that is never remembered; a subject that is not there will do, too."""
        try:
            with self._border("asking the Schema Registry"):
                self._client.get_versions(subject)
        except SchemaMissing:
            return

    @contextmanager
    def _border(self, doing: str) -> Iterator[None]:
        try:
            yield
        except SchemaRegistryError as error:
            raise _mapped(error, doing) from error
        except _TRANSPORT as error:
            raise _unreachable(error, f"{doing}: {self.address}") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            # It answers 200 with something else than a registry says.
            raise RegistryError(f"{doing}: {self.address} does not answer as a Schema Registry does") from error


def _mapped(error: SchemaRegistryError, doing: str) -> RegistryError | RegistryUnreachable:
    status = error.http_status_code
    text = f"{doing}: {printable(str(error.error_message), _TEXT_LIMIT)} (HTTP {status})"
    if status in _UNAUTHORISED:
        return RegistryDenied(text)
    if status == _NOT_FOUND:
        # Of a wrong address a web server says the same, but without a code of the registry's (40401 to 40408).
        return (
            SchemaMissing(text) if _NOT_FOUND * 100 < error.error_code < (_NOT_FOUND + 1) * 100 else RegistryError(text)
        )
    if status in (_CONFLICT, _UNPROCESSABLE):
        return SchemaRefused(text)
    if status >= 500 or status in (_BUSY, _TIMEOUT):
        return RegistryUnreachable(text)
    return RegistryError(text)


def _unreachable(error: Exception, doing: str) -> RegistryDenied | RegistryUnreachable:
    """By its type; and a certificate that proves nothing is no outage."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return RegistryDenied(
                f"{doing}: its certificate is not trusted: {printable(cause.verify_message, _TEXT_LIMIT)}",
                hint="name the file with its authority's certificate in LFK_SCHEMA_REGISTRY_CA, and the registry in "
                "SCHEMA_REGISTRY_URL as its certificate does",
            )
        cause = cause.__cause__ or cause.__context__
    return RegistryUnreachable(f"{doing} does not answer ({type(error).__name__})")


def _require_http(urls: str) -> None:
    for url in urls.split(","):
        try:
            parts = urlsplit(url.strip())
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(
                "SCHEMA_REGISTRY_URL is no address of a Schema Registry",
                hint="write it as https://HOST or https://HOST:PORT; several are separated by commas",
            )


def _shown(url: str) -> str:
    """An address without its credentials."""
    scheme, mark, rest = url.strip().partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}"


class KnownSchemas:
    """What Confluent's serialisers get in place of a client: schemas that are safe, and errors that are ours.

    They would ask a client for the same things, but know nothing of what must be refused.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def config(self) -> Mapping[str, Any]:
        """Nothing of the client's configuration, credentials among it, is for rules to see."""
        return {}

    def get_schema(self, schema_id: int, *_subject: object) -> Schema:
        """The writer's schema of a message."""
        return self._registry.schema(schema_id)

    def lookup_schema(self, subject: str, schema: Schema, **_options: object) -> RegisteredSchema:
        """The id of lfk's own schema."""
        return self._registry.find(subject, schema)
