"""The parent's side of a shared task, without engines and child: nothing of a helper reaches others."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from lfk.engine.child_process import ChildProcess
from lfk.engine.team import Team

WITHIN = 10.0
PIECE = {"type": "claimed", "by": 0, "number": 1, "turn": 1, "work": "square", "seconds": 1.0, "data": {}}


class Owner:
    """A child that notes what it is sent; while :attr:`slow` is set, sending waits for :attr:`read`."""

    pid = 1

    def __init__(self) -> None:
        self.sent: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()
        self.slow = False
        self.sending = threading.Event()
        self.read = threading.Event()

    def send(self, message: Mapping[str, Any]) -> None:
        if self.slow:
            self.sending.set()
            assert self.read.wait(WITHIN)
        self.sent.put(message)


class Broken:
    """An engine whose help ends in a fault of lfk itself."""

    def assist(self, kind: str, seconds: float, data: Mapping[str, Any]) -> Mapping[str, Any]:
        raise RuntimeError("can't start new thread")


@contextmanager
def spare() -> Iterator[Broken]:
    yield Broken()


def test_a_piece_comes_back_whatever_becomes_of_its_helper() -> None:
    """Or the task's own engine would wait for it until its time is over, and be blamed."""
    owner = Owner()
    team = Team(cast(ChildProcess, owner), spare)
    team.hear({"type": "offer", "pieces": 2})
    assert owner.sent.get(timeout=WITHIN) == {"type": "claim", "by": 0}
    team.hear(PIECE)
    assert owner.sent.get(timeout=WITHIN) == {"type": "piece", "number": 1, "turn": 1, "answer": None}
    team.close()


def test_nothing_is_sent_once_the_team_is_closed() -> None:
    """What a helper is just sending would meet the child's next task, or be mixed with the message that begins it."""
    owner = Owner()
    owner.slow = True
    team = Team(cast(ChildProcess, owner), spare)
    team.hear({"type": "offer", "pieces": 2})
    assert owner.sending.wait(WITHIN)
    closing = threading.Thread(target=team.close)
    closing.start()
    closing.join(0.2)
    assert closing.is_alive(), "it is closed while a helper is still sending"
    owner.read.set()
    closing.join(WITHIN)
    assert not closing.is_alive()
    assert owner.sent.get(timeout=WITHIN) == {"type": "claim", "by": 0}
    assert owner.sent.empty()
