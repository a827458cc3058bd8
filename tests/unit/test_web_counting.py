"""What the page tells of each request and upload, and that nothing from outside becomes a label."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfk.core.metrics import BY_ROLE
from lfk.telemetry.meter import Meter
from lfk.web.events import Answered, Refused, Taken
from lfk.web.readings import of_event
from tests.unit.web_site import KEY, Visit, visiting


@pytest.fixture
def visit() -> Iterator[Visit]:
    with visiting() as visit:
        yield visit


def page(visit: Visit) -> str:
    """What a Prometheus would be told."""
    meter = Meter()
    meter.declare(BY_ROLE["web"], lambda: iter(()))
    for event in visit.events:
        meter.tell(of_event(event))
    return meter.page().decode()


@pytest.mark.parametrize(
    ("method", "path", "host", "route", "status"),
    [
        ("GET", "/", None, "/", 200),
        ("HEAD", "/healthz", None, "/healthz", 200),
        ("GET", f"/t/{KEY}", None, "/t/{key}", 200),
        ("GET", "/t/simple/tiny/none.wav", None, "/t/{key}", 404),
        ("GET", "/static/app.js", None, "/static/{name}", 200),
        ("POST", "/api/failures/0123/retry", None, "/api/failures/{event}/retry", 401),
        ("PUT", "/api/recordings", None, "/api/recordings", 401),
        ("DELETE", "/api/recordings", None, "/api/recordings", 401),
        ("GET", "/wp-login.php", None, "", 404),
        ("BREW", "/", None, "/", 405),
        ("GET", "/api/recordings", "evil.example", "/api/recordings", 421),
    ],
)
def test_each_answer_is_told_by_the_pattern_of_its_address(
    visit: Visit, method: str, path: str, host: str | None, route: str, status: int
) -> None:
    answer = visit(method, path, headers={"host": host} if host else None)
    (told,) = visit.events
    assert isinstance(told, Answered)
    assert (told.method, told.route, told.status) == (method, route, status)
    assert answer.status == status
    assert 0 <= told.seconds < 10


def test_a_mistake_of_ours_is_told_once_and_as_one(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lfk.web.api.pulse_view", lambda *_asked: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        visit("GET", "/api/pulse")
    assert [(told.route, told.status) for told in visit.events if isinstance(told, Answered)] == [("/api/pulse", 500)]


def test_uploads_add_up(visit: Visit) -> None:
    for data in (b"one", b"one", b"other"):
        visit.bearing("PUT", "/api/recordings", data, "name=x.wav&approach=simple&model=tiny")
    visit.bearing("PUT", "/api/recordings", b"one", "name=x.exe&approach=simple&model=tiny")
    assert [told for told in visit.events if isinstance(told, Taken)] == [
        Taken(3, False),
        Taken(3, True),
        Taken(5, False),
    ]
    (refused,) = (told for told in visit.events if isinstance(told, Refused))
    assert refused.error.code == "invalid_location"
    told = page(visit)
    assert 'lfk_web_uploads_total{outcome="new"} 2.0' in told
    assert 'lfk_web_uploads_total{outcome="known"} 1.0' in told
    assert 'lfk_web_upload_failures_total{code="invalid_location"} 1.0' in told
    assert "lfk_web_uploaded_bytes_total 8.0" in told
    assert 'lfk_web_requests_total{method="put",route="/api/recordings",status="2xx"} 3.0' in told
    assert 'lfk_web_request_seconds_count{route="/api/recordings"} 4.0' in told


@given(st.text(), st.text(), st.sampled_from([100, 204, 302, 418, 599]))
def test_nothing_from_outside_becomes_a_label(method: str, path: str, status: int) -> None:
    with visiting() as visit:
        visit("GET", f"/{path}")
        visit("GET", f"/t/{path}")
        visit.events.append(Answered(method, "", status, 0.1))
        labels = re.findall(r'="([^"]*)"', page(visit))
    assert all(re.fullmatch(r"get|other|/[a-z{}/]*|[1-5]xx|[0-9.]+|\+Inf", label) for label in labels)
