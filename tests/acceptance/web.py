"""A running ``lfk web``, and what tests ask of it over real HTTP."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from tests.acceptance.command import Lfk

TOKEN = "the token of these tests"


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Web:
    """A page that somebody serves."""

    address: str

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        """One request with the token."""
        connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            given = {"Authorization": f"Bearer {TOKEN}", **{n.replace("_", "-"): v for n, v in headers.items()}}
            connection.request(method, path, body, given)
            answer = connection.getresponse()
            return Reply(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def upload(self, name: str, data: bytes, approach: str = "simple", model: str = "tiny", **options: str) -> Reply:
        """Send one file, with job options as people say them on the page."""
        asked = urlencode({"name": name, "approach": approach, "model": model, **options})
        return self.ask("PUT", f"/api/recordings?{asked}", data)

    def look(self, key: str) -> dict[str, Any]:
        """One recording as it is now."""
        rows: list[dict[str, Any]] = self.ask("GET", f"/api/looks?key={quote(key)}").json["rows"]
        return rows[0] if rows else {"state": "absent"}

    def rows(self) -> dict[str, dict[str, Any]]:
        """The list, by name."""
        return {row["name"]: row for row in self.ask("GET", "/api/recordings?limit=200").json["rows"]}


@contextmanager
def serving(lfk: Lfk, *arguments: str) -> Iterator[Web]:
    """Serve for as long as the block lasts; it must end as told when it gets SIGTERM."""
    with lfk.running("web", "--json", "--bind", "127.0.0.1:0", *arguments) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert '"serving"' in said, said + process.stdout.read()
        yield Web(json.loads(said)["address"])
        process.terminate()
        rest = process.stdout.read()
        assert process.wait(30) == 0, rest
        # The Kafka client may have warned of something that passed; nothing else may have been said.
        assert json.loads(rest.splitlines()[-1]) == {"event": "stopped"}, rest
        assert "Traceback" not in rest
