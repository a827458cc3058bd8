"""The Schema Registry's answers, and those of what is none, as errors of lfk's; over HTTP and TLS."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lfk.brokers.registry import Registry
from lfk.brokers.registry_codec import own_schema
from lfk.core.errors import (
    LfkError,
    MalformedMessage,
    RegistryDenied,
    RegistryError,
    RegistryUnreachable,
    SchemaMissing,
    SchemaRefused,
)
from tests.services import certificates

SCHEMA = own_schema("transcript", avro=True)
SECRET = "registry-secret-5"


@contextmanager
def answering(status: int, body: bytes, *, pair: certificates.Pair | None = None) -> Iterator[tuple[str, list[str]]]:
    """A server that says the same to everybody; its address, and the paths it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            asked.append(self.path)
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if pair is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"{'https' if pair else 'http'}://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, b'{"error_code": 401, "message": "Unauthorized"}', RegistryDenied),
        (403, b"<html>Forbidden</html>", RegistryDenied),
        (404, b'{"error_code": 40401, "message": "Subject not found"}', SchemaMissing),
        (404, b"<html>nothing here</html>", RegistryError),
        (409, b'{"error_code": 409, "message": "incompatible"}', SchemaRefused),
        (422, b'{"error_code": 42201, "message": "Invalid schema"}', SchemaRefused),
        (429, b"{}", RegistryUnreachable),
        (500, b'{"error_code": 50001, "message": "backend"}', RegistryUnreachable),
        (200, b"<html>a login page</html>", RegistryError),
        (200, b"[]", RegistryError),
    ],
)
def test_answers_by_their_status(status: int, body: bytes, expected: type[LfkError]) -> None:
    with answering(status, body) as (url, _asked), closing(Registry(url, key="key", secret=SECRET)) as registry:
        with pytest.raises(LfkError) as caught:
            registry.find("subject", SCHEMA)
        assert type(caught.value) is expected
        assert SECRET not in str(caught.value)


def test_what_nobody_knows_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = b'{"error_code": 40403, "message": "Schema not found"}'
    with answering(404, unknown) as (url, asked), closing(Registry(url)) as registry:
        for _time in range(5):
            with pytest.raises(MalformedMessage):
                registry.schema(7)
        assert len(asked) == 1
        # Somebody may register it after all.
        later = time.monotonic() + 60
        monkeypatch.setattr(time, "monotonic", lambda: later)
        assert not registry.knows(7)


def test_an_outage_is_told_soon_and_never_remembered() -> None:
    with closing(Registry("http://127.0.0.1:1")) as registry:
        began = time.monotonic()
        with pytest.raises(RegistryUnreachable):
            registry.schema(7)
        assert time.monotonic() - began < 5
        assert not registry.knows(7)


def test_certificates(tmp_path: Path) -> None:
    made = certificates.make(tmp_path)
    missing = b'{"error_code": 40401, "message": "Subject not found"}'
    cases = (
        (made.server, made.authority, SchemaMissing),
        (made.server, made.stranger_authority, RegistryDenied),
        (made.expired_server, made.authority, RegistryDenied),
        (made.elsewhere_server, made.authority, RegistryDenied),
    )
    for pair, authority, expected in cases:
        with (
            answering(404, missing, pair=pair) as (url, _asked),
            closing(Registry(url, ca=str(authority))) as registry,
            pytest.raises(expected),
        ):
            registry.find("subject", SCHEMA)


def test_credentials_in_the_address_are_not_shown() -> None:
    with closing(Registry(f"http://key:{SECRET}@127.0.0.1:1/registry")) as registry:
        assert registry.address == "http://127.0.0.1:1/registry"
        with pytest.raises(RegistryUnreachable) as caught:
            registry.check("subject")
        assert SECRET not in str(caught.value)
