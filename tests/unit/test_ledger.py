"""The ledger against a model: whatever order jobs end in, whenever a hub dies, nothing is lost and nothing repeats."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lfk.core.ledger import NOTE_LIMIT, NOTE_PRESSURE, Ledger, NoteUnreadable


class LedgerMachine(RuleBasedStateMachine):
    """A partition whose offsets have gaps, read by hubs that crash: the broker holds only what was committed."""

    @initialize(start=st.integers(0, 3000), gaps=st.lists(st.integers(1, 5), min_size=1, max_size=80))
    def partition(self, start: int, gaps: list[int]) -> None:
        self.offsets = []
        offset = start
        for gap in gaps:
            self.offsets.append(offset)
            offset += gap
        self.committed: tuple[int, str] | None = None
        self.committed_done: set[int] = set()
        self.committed_attempts: dict[int, int] = {}
        #: The broker has dropped everything below.
        self.first = 0
        self._restart()

    def _restart(self) -> None:
        self.ledger = Ledger.load(*self.committed) if self.committed else Ledger()
        self.done = set(self.committed_done)
        self.attempts = dict(self.committed_attempts)
        if self.committed and self.committed[0] < self.first:
            self.ledger.skip(self.first)
        first = self.committed[0] if self.committed else 0
        self.unread = [offset for offset in self.offsets if offset >= first]
        self.in_hand: list[int] = []

    @precondition(lambda self: self.unread)
    @rule()
    def deliver(self) -> None:
        offset = self.unread.pop(0)
        is_new = self.ledger.deliver(offset)
        assert is_new == (offset not in self.done)
        if is_new:
            self.in_hand.append(offset)
            assert self.ledger.attempts(offset) == self.attempts.get(offset, 0)

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        offset = data.draw(st.sampled_from(self.in_hand))
        self.attempts[offset] = self.attempts.get(offset, 0) + 1
        assert self.ledger.begin(offset) == self.attempts[offset]

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data(), at_once=st.booleans())
    def finish_and_commit(self, data: st.DataObject, at_once: bool) -> None:
        offset = data.draw(st.sampled_from(self.in_hand))
        foreseen = self.ledger.progress([offset])
        self.ledger.finish(offset)
        assert self.ledger.progress() == foreseen
        self.in_hand.remove(offset)
        self.done.add(offset)
        if at_once:
            self.commit()

    @rule()
    def commit(self) -> None:
        mark = self.ledger.progress()
        if mark is not None:
            self.committed = mark
            self.committed_done = set(self.done)
            self.committed_attempts = {o: n for o, n in self.attempts.items() if o not in self.done}

    @rule()
    def crash(self) -> None:
        self._restart()

    @precondition(lambda self: self.unread)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        """The broker drops what is oldest, read or not, but nothing that is in hand."""
        first = data.draw(st.sampled_from(self.unread))
        if any(offset < first for offset in self.in_hand):
            return
        self.first = first
        self.ledger.skip(first)
        self.offsets = [offset for offset in self.offsets if offset >= first]
        self.unread = [offset for offset in self.unread if offset >= first]

    @invariant()
    def nothing_open_is_behind_the_commit(self) -> None:
        if getattr(self, "committed", None):
            assert self.committed is not None
            offset, note = self.committed
            assert len(note) <= NOTE_LIMIT
            assert all(o in self.committed_done for o in self.offsets if o < offset)

    def teardown(self) -> None:
        if not hasattr(self, "offsets"):
            return
        while self.unread:
            self.deliver()
        for offset in list(self.in_hand):
            self.ledger.finish(offset)
            self.done.add(offset)
        assert self.done >= set(self.offsets)
        mark = self.ledger.progress()
        assert mark is not None
        assert mark[1] == ""


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


def test_a_long_job_at_the_head_holds_nothing_back() -> None:
    ledger = Ledger()
    for offset in range(100_000):
        assert ledger.deliver(offset)
        if offset:
            ledger.finish(offset)
    mark = ledger.progress()
    assert mark is not None
    assert mark[0] == 0
    assert len(mark[1]) < 20
    again = Ledger.load(*mark)
    assert again.deliver(0)
    assert not any(again.deliver(offset) for offset in range(1, 100_000))
    again.finish(0)
    assert again.progress() == (100_000, "")


def test_every_second_job_open_is_pressed_before_the_limit() -> None:
    ledger = Ledger()
    offset = 0
    while not ledger.pressed:
        ledger.deliver(offset)
        if offset % 2:
            ledger.finish(offset)
        offset += 1
    mark = ledger.progress()
    assert mark is not None
    assert NOTE_PRESSURE < len(mark[1]) < NOTE_LIMIT
    # One byte for each that stands alone, three quarters of them after base64.
    assert ledger.open > 2000


def test_offsets_in_hand_elsewhere_stay_open_until_they_come() -> None:
    ledger = Ledger()
    for offset in (4, 7, 9):
        ledger.deliver(offset)
    ledger.begin(7)
    ledger.finish(9)
    mark = ledger.progress()
    assert mark is not None
    again = Ledger.load(*mark)
    assert again.progress() == mark
    assert again.deliver(4)
    again.finish(4)
    half = again.progress()
    assert half is not None
    assert half[0] == 7
    third = Ledger.load(*half)
    assert third.deliver(7)
    assert third.attempts(7) == 1
    assert not third.deliver(9)


@given(st.integers(0, 1 << 60), st.text(max_size=60))
def test_any_note_loads_or_is_refused(offset: int, note: str) -> None:
    try:
        ledger = Ledger.load(offset, note)
    except NoteUnreadable:
        return
    assert ledger.open == 0


def test_notes_of_a_later_version_are_refused() -> None:
    with pytest.raises(NoteUnreadable, match="version 03"):
        Ledger.load(0, "Aw")


def test_a_note_that_claims_a_huge_run_is_refused(monkeypatch: Any) -> None:
    # span 5, one run of a million offsets
    import base64

    packed = bytes([1, 5, 1, 0, 0xC0, 0x84, 0x3D, 0])
    with pytest.raises(NoteUnreadable):
        Ledger.load(0, base64.urlsafe_b64encode(packed).decode().rstrip("="))
