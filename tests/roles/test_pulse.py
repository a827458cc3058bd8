"""How the work goes, point by point: outages and mistakes end nothing, and no more is held than is wanted."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from lfk.core.errors import BrokerUnreachable
from lfk.roles import pulse
from lfk.roles.backlog import Done, Outlook, Pace, Waiting
from lfk.roles.pulse import Point, Pulse, PulseTaker
from lfk.roles.status import Status
from lfk.web.views import pulse_view

Looked = tuple[Status, Outlook]


class Looks:
    """Gives one answer after the other; then it tells that it is through, and gives no more."""

    def __init__(self, *answers: Callable[[], Looked]) -> None:
        self._answers = list(answers)
        self.through = threading.Event()
        self.over = threading.Event()

    def __call__(self) -> Looked:
        if not self._answers:
            self.through.set()
            self.over.wait(20)
            return looked(0)
        return self._answers.pop(0)()


def looked(files: int) -> Looked:
    pace = Pace(100.0, {"simple.tiny": Done(files=1, audio=250.0)})
    return Status({"lfk.audio": files, "lfk.audio.bulk": 1}, (), 0), Outlook(
        {"simple.tiny": Waiting(files, 60.0)}, pace
    )


def away() -> Looked:
    raise BrokerUnreachable("no broker answers")


def wrong() -> Looked:
    raise ZeroDivisionError("a mistake of ours")


def taken(monkeypatch: pytest.MonkeyPatch, *answers: Callable[[], Looked]) -> Pulse:
    """The pulse just after these looks."""
    monkeypatch.setattr(pulse, "_REST_FACTOR", 0.0)
    looks = Looks(*answers)
    taker = PulseTaker(looks, seconds=0.0)
    assert looks.through.wait(20)
    found = taker.pulse
    looks.over.set()
    taker.close()
    return found


def test_what_a_look_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    now = taken(monkeypatch, lambda: looked(3), lambda: looked(2))
    assert [(point.files, point.audio, point.speed) for point in now.points] == [(4, 60.0, 2.5), (3, 60.0, 2.5)]
    view = pulse_view(now, None, ())
    assert (view["files"], view["audio"], view["left"], view["error"]) == (3, 60.0, 24.0, None)


def test_outages_and_mistakes_keep_what_was_known(monkeypatch: pytest.MonkeyPatch) -> None:
    now = taken(monkeypatch, lambda: looked(3), away)
    assert now.error is not None
    assert (now.error.code, len(now.points)) == ("broker_unreachable", 1)
    assert pulse_view(now, None, ())["files"] == 4
    again = taken(monkeypatch, away, wrong, lambda: looked(1))
    assert (again.error, len(again.points)) == (None, 1)


def test_a_plot_gets_no_more_than_it_has_room_for() -> None:
    points = tuple(Point(float(number), number, 0.0, 0.0) for number in range(pulse.POINTS))
    sent = pulse_view(Pulse(points), None, ())["points"]
    assert len(sent) <= 240
    assert sent[-1][1] == pulse.POINTS - 1
    assert pulse_view(Pulse(points[:5]), None, ())["points"] == [[n, n, 0, 0.0] for n in range(5)]
