"""A Schema Registry for tests: the part of Confluent's REST API that clients use, in memory, as a process of its own.

Started as ``python registry_server.py PORT [USER PASSWORD]``. Ids are global and the same for the same text, versions
count by subject, a schema that breaks its subject's compatibility is refused with 409 as the real one does. Avro is
compared by the Avro project's own checker; JSON schemas by the rules that their messages live by: a field keeps its
types, and none becomes required.
"""

from __future__ import annotations

import base64
import hmac
import json
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import avro.compatibility
import avro.schema

_CONTENT = "application/vnd.schemaregistry.v1+json"
_LARGEST = 1 << 20


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Registry:
    """What is registered. Every method answers with what goes out as JSON."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: dict[tuple[str, str, str], int] = {}
        self._subjects: dict[str, list[int]] = {}
        self._levels: dict[str, str] = {}
        self._level = "BACKWARD"

    def answer(self, method: str, path: list[str], body: Mapping[str, Any]) -> Any:
        with self._lock:
            for (verb, *form), handler in self._routes():
                found = _matched(form, path)
                if verb == method and found is not None:
                    return handler(*found, body)
        raise Refused(404, "HTTP 404 Not Found")

    def _routes(self) -> list[tuple[tuple[str, ...], Callable[..., Any]]]:
        return [
            (("GET", "subjects"), lambda _body: sorted(self._subjects)),
            (("GET", "schemas", "types"), lambda _body: ["JSON", "AVRO"]),
            (("GET", "schemas", "ids", "*"), lambda number, _body: self._by_id(number)),
            (("GET", "subjects", "*", "versions"), lambda subject, _body: self._versions(subject)),
            (("GET", "subjects", "*", "versions", "*"), self._version),
            (("DELETE", "subjects", "*"), lambda subject, _body: self._delete(subject)),
            (("POST", "subjects", "*", "versions"), self._register),
            (("POST", "subjects", "*"), self._look_up),
            (("POST", "compatibility", "subjects", "*", "versions", "*"), self._compare),
            (("PUT", "config"), self._set_level),
            (("PUT", "config", "*"), self._set_level_of),
            (("GET", "config"), lambda _body: {"compatibilityLevel": self._level}),
        ]

    def _by_id(self, number: str) -> Any:
        for key, found in self._ids.items():
            if str(found) == number:
                return _described(key)
        raise Refused(40403, f"Schema {number} not found")

    def _versions(self, subject: str) -> list[int]:
        if subject not in self._subjects:
            raise Refused(40401, f"Subject '{subject}' not found.")
        return list(range(1, len(self._subjects[subject]) + 1))

    def _delete(self, subject: str) -> list[int]:
        versions = self._versions(subject)
        del self._subjects[subject]
        return versions

    def _version(self, subject: str, version: str, _body: Mapping[str, Any]) -> Any:
        versions = self._versions(subject)
        number = versions[-1] if version == "latest" else int(version)
        if number not in versions:
            raise Refused(40402, f"Version {version} not found.")
        return self._registered(subject, self._subjects[subject][number - 1])

    def _register(self, subject: str, body: Mapping[str, Any]) -> Any:
        key = _key(body)
        there = self._subjects.get(subject, [])
        number = self._ids.get(key)
        if number not in there:
            if (fault := self._fault(subject, key)) is not None:
                raise Refused(
                    409,
                    f"Schema being registered is incompatible with an earlier schema for subject '{subject}': {fault}",
                )
            number = self._ids.setdefault(key, len(self._ids) + 1)
            self._subjects.setdefault(subject, []).append(number)
        return {"id": number}

    def _look_up(self, subject: str, body: Mapping[str, Any]) -> Any:
        self._versions(subject)
        number = self._ids.get(_key(body))
        if number not in self._subjects[subject]:
            raise Refused(40403, "Schema not found")
        return self._registered(subject, number)

    def _compare(self, subject: str, _version: str, body: Mapping[str, Any]) -> Any:
        self._versions(subject)
        return {"is_compatible": self._fault(subject, _key(body)) is None}

    def _set_level(self, body: Mapping[str, Any]) -> Any:
        self._level = str(body["compatibility"])
        return body

    def _set_level_of(self, subject: str, body: Mapping[str, Any]) -> Any:
        self._levels[subject] = str(body["compatibility"])
        return body

    def _registered(self, subject: str, number: int) -> Any:
        key = next(key for key, found in self._ids.items() if found == number)
        version = self._subjects[subject].index(number) + 1
        return {"subject": subject, "version": version, "id": number, **_described(key)}

    def _fault(self, subject: str, key: tuple[str, str, str]) -> str | None:
        """Why a schema may not follow the subject's latest one."""
        level = self._levels.get(subject, self._level)
        if level == "NONE" or not self._subjects.get(subject):
            return None
        latest = next(k for k, found in self._ids.items() if found == self._subjects[subject][-1])
        if latest[0] != key[0]:
            return f"schema type {key[0]} in place of {latest[0]}"
        compare = _avro_fault if key[0] == "AVRO" else _json_fault
        pairs = {"BACKWARD": [(key, latest)], "FORWARD": [(latest, key)], "FULL": [(key, latest), (latest, key)]}[level]
        return next((fault for new, old in pairs if (fault := compare(new[1], old[1])) is not None), None)


def _avro_fault(reader: str, writer: str) -> str | None:
    checker = avro.compatibility.ReaderWriterCompatibilityChecker()
    result = checker.get_compatibility(avro.schema.parse(reader), avro.schema.parse(writer))
    if result.compatibility is avro.compatibility.SchemaCompatibilityType.compatible:
        return None
    return "; ".join(sorted(result.messages))


def _json_fault(reader: str, writer: str) -> str | None:
    new, old = json.loads(reader), json.loads(writer)
    for name, field in old.get("properties", {}).items():
        kept = new.get("properties", {}).get(name, field)
        if not _types(field) <= _types(kept):
            return f"PROPERTY {name} changed its type"
    added = set(new.get("required", ())) - set(old.get("required", ()))
    return f"REQUIRED_ATTRIBUTE_ADDED {sorted(added)}" if added else None


def _types(field: Mapping[str, Any]) -> set[str]:
    named = field.get("type", [])
    return {named} if isinstance(named, str) else set(named)


def _key(body: Mapping[str, Any]) -> tuple[str, str, str]:
    kind, text = str(body.get("schemaType") or "AVRO"), str(body["schema"])
    try:
        avro.schema.parse(text) if kind == "AVRO" else json.loads(text)
    except (avro.schema.AvroException, ValueError) as error:
        raise Refused(42201, f"Invalid schema: {error}") from error
    return kind, text, json.dumps(body.get("references") or [])


def _described(key: tuple[str, str, str]) -> dict[str, Any]:
    kind, text, references = key
    described: dict[str, Any] = {"schema": text, "schemaType": kind, "references": json.loads(references)}
    # As the real one, which names neither Avro nor what is empty.
    return {name: value for name, value in described.items() if value and value != "AVRO"}


def _matched(form: list[str], path: list[str]) -> list[str] | None:
    if len(form) != len(path) or any(one not in ("*", part) for one, part in zip(form, path, strict=True)):
        return None
    return [part for one, part in zip(form, path, strict=True) if one == "*"]


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    registry: Registry
    credentials: str | None

    def _answer(self) -> None:
        try:
            size = int(self.headers.get("Content-Length") or 0)
            if size > _LARGEST:
                raise Refused(413, "too large")
            content = self.rfile.read(size)
            given = self.headers.get("Authorization", "")
            if self.credentials is not None and not hmac.compare_digest(given, f"Basic {self.credentials}"):
                raise Refused(401, "Unauthorized")
            parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
            code, answer = 200, self.registry.answer(self.command, parts, json.loads(content or b"{}"))
        except Refused as refused:
            code = int(str(refused.code)[:3])
            answer = {"error_code": refused.code, "message": refused.message}
        text = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", _CONTENT)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - the server's own names


def main(argv: list[str]) -> None:
    """Serve until killed."""
    port, *user = argv
    Handler.registry = Registry()
    Handler.credentials = base64.b64encode(":".join(user).encode()).decode() if user else None
    ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
