"""Who gets in: hosts, origins, tokens, sessions and their words, and what every answer tells the browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.cookies import SimpleCookie

import pytest

from lfk.web.sessions import SESSION_SECONDS, Sessions
from tests.unit.web_site import HOST, KEY, TOKEN, Visit, visiting

EVENT = "0123456789abcdef" * 2
#: Everything that changes something.
CHANGES = [
    ("PUT", "/api/recordings", "name=x.wav&approach=simple&model=tiny"),
    ("POST", f"/api/failures/{EVENT}/retry", ""),
    ("DELETE", f"/api/failures/{EVENT}", ""),
    ("PUT", f"/api/speakers/{KEY}", ""),
]


@pytest.fixture(scope="module")
def visit() -> Iterator[Visit]:
    with visiting() as visit:
        yield visit


def signed_in(visit: Visit) -> dict[str, str]:
    """The headers that a browser and the page's scripts send once somebody has signed in."""
    answer = visit("POST", "/api/session", json.dumps({"token": TOKEN}).encode(), {"content-type": "application/json"})
    assert answer.status == 204
    morsel = SimpleCookie(answer.headers["set-cookie"])["lfk_session"]
    assert (morsel["httponly"], morsel["samesite"], morsel["secure"], morsel["path"]) == (True, "strict", "", "/")
    cookie = {"cookie": f"lfk_session={morsel.value}", "sec-fetch-site": "same-origin"}
    told = visit("GET", "/api/session", headers=cookie).json
    assert told["signed_in"] is True
    return {**cookie, "x-csrf-token": told["word"]}


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "[::1]:8080", "localhost", "LOCALHOST:1", "transcripts.example"])
def test_hosts_that_lead_here(visit: Visit, host: str) -> None:
    assert visit("GET", "/healthz", headers={"host": host}).status == 200


@pytest.mark.parametrize(
    "host", ["", "evil.example", "evil.example:8080", "transcripts.example.evil.example", "a@127.0.0.1", "127.0.0.1/x"]
)
def test_other_names_are_not_answered(visit: Visit, host: str) -> None:
    answer = visit("GET", "/api/recordings", headers={"host": host})
    assert (answer.status, answer.code) == (421, "unknown_host")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/static/app.js"), ("GET", "/api/session"), ("GET", f"/t/{KEY}"), ("GET", "/nowhere"),
     ("GET", f"/audio/{KEY}"), ("GET", f"/files/{KEY}"), ("PUT", "/api/recordings"), ("TRACE", "/"),
     ("GET", "/t/none")],
)  # fmt: skip
def test_every_answer_tells_the_browser_what_it_may_do(visit: Visit, method: str, path: str) -> None:
    headers = visit(method, path).headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert "cache-control" in headers
    assert not any(name.startswith("access-control") for name in headers)


@pytest.mark.parametrize(("method", "path", "query"), CHANGES)
def test_nobody_changes_anything_without_the_token(visit: Visit, method: str, path: str, query: str) -> None:
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {TOKEN}"},
                    {"cookie": "lfk_session=9999999999.x.y", "sec-fetch-site": "same-origin"}):  # fmt: skip
        answer = visit(method, path, b"RIFF", headers, query)
        assert (answer.status, answer.code) == (401, "sign_in")


@pytest.mark.parametrize(("method", "path", "query"), CHANGES)
def test_a_page_without_a_token_only_shows(method: str, path: str, query: str) -> None:
    with visiting(token="") as visit:
        for headers in (
            {},
            {"authorization": "Bearer "},
            {"cookie": "lfk_session=..", "sec-fetch-site": "same-origin"},
        ):
            answer = visit(method, path, b"RIFF", headers, query)
            assert (answer.status, answer.code) == (403, "read_only")
        assert visit("GET", "/api/session").json["can_sign_in"] is False
        given = json.dumps({"token": ""}).encode()
        assert visit("POST", "/api/session", given, {"content-type": "application/json"}).status == 401


@pytest.mark.parametrize(
    "origin",
    [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"sec-fetch-site": "none"},
     {"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "http://127.0.0.1:9999"},
     {"origin": "http://[", "sec-fetch-site": "same-origin"}],
)  # fmt: skip
def test_other_origins_change_nothing_even_with_a_session(visit: Visit, origin: dict[str, str]) -> None:
    session = signed_in(visit)
    del session["sec-fetch-site"]
    for method, path, query in [*CHANGES, ("POST", "/api/session", ""), ("DELETE", "/api/session", "")]:
        answer = visit(method, path, b"RIFF", {**session, **origin}, query)
        assert (answer.status, answer.code) == (403, "other_origin")
    assert visit.bearing("DELETE", f"/api/failures/{EVENT}", **origin).status == 403


def test_a_cookie_alone_is_not_enough(visit: Visit) -> None:
    session = signed_in(visit)
    assert visit("DELETE", f"/api/failures/{EVENT}", headers=session).status == 204
    for word in ("", "0" * 64, signed_in(visit)["x-csrf-token"]):
        answer = visit("DELETE", f"/api/failures/{EVENT}", headers={**session, "x-csrf-token": word})
        assert (answer.status, answer.code) == (403, "csrf")
    # A browser so old that it says nothing of where a request comes from.
    del session["sec-fetch-site"]
    assert visit("DELETE", f"/api/failures/{EVENT}", headers=session).status == 403
    assert visit("DELETE", f"/api/failures/{EVENT}", headers={**session, "origin": f"http://{HOST}"}).status == 204


def test_signing_in_needs_the_token_as_json(visit: Visit) -> None:
    right = json.dumps({"token": TOKEN}).encode()
    for body, kind, status in (
        (b'{"token": "wrong"}', "application/json", 401),
        (b'{"token": 7}', "application/json", 401),
        (b"[]", "application/json", 400),
        (b"{", "application/json", 400),
        (b"[" * 4000, "application/json", 400),
        (b" " * 5000 + right, "application/json", 400),
        (right, "text/plain", 400),
    ):
        answer = visit("POST", "/api/session", body, {"content-type": kind})
        assert answer.status == status
        assert "set-cookie" not in answer.headers
    secure = visit(
        "POST", "/api/session", right,
        {"content-type": "application/json", "origin": "https://transcripts.example", "host": "transcripts.example"},
    )  # fmt: skip
    assert "secure" in secure.headers["set-cookie"].lower()


def test_sessions_end_and_cannot_be_made() -> None:
    now = [1000.0]
    sessions = Sessions(TOKEN, lambda: now[0])
    cookie = sessions.begin()
    assert sessions.holds(cookie)
    assert Sessions(TOKEN, lambda: now[0]).holds(cookie)
    assert not Sessions(TOKEN + "!", lambda: now[0]).holds(cookie)
    end, _dot, rest = cookie.partition(".")
    for made in ("", ".", "..", f"{int(end) + 1}.{rest}", cookie[:-1], f"{cookie}x", "\udc80.a.b"):
        assert not sessions.holds(made)
    assert sessions.is_word(cookie, sessions.word(cookie))
    assert not sessions.is_word(cookie, sessions.word(sessions.begin()))
    now[0] += SESSION_SECONDS
    assert not sessions.holds(cookie)
    assert not Sessions("").is_token("")
    assert not Sessions("").holds("")
