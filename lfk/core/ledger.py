"""Which offsets of a partition are done, also out of order: pure bookkeeping over offsets that were delivered.

Kafka commits one offset per partition, but jobs finish in any order. The ledger keeps the *open* offsets (delivered
and not done) and the *position* (one past the last delivered). What it commits is the first open offset plus a note
of the other open ones and of attempts begun; everything below the position that is not open is done. So the note
grows with what is in hand, not with what has been finished, and a three-hour job at the head holds nothing back.

Only offsets that were really delivered ever count: transaction markers and aborted records leave gaps that are
never waited for.

The note is versioned and compact, at most :data:`NOTE_LIMIT` characters (Kafka's default for an offset's metadata), the
shorter of two forms::

    base64url( 0x01 · position - base · count of runs · (skip, length - 1)… · count of attempts · (index, attempts)… )
    base64url( 0x02 · position - base · count of offsets · skip… · count of attempts · (index, attempts)… )

with every number an unsigned LEB128. Runs or single offsets are those that are open, from the base on; an index counts
open offsets.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Iterator

#: Kafka's default `offset.metadata.max.bytes`.
NOTE_LIMIT = 4096
#: From here on nothing new is taken in, so that what is in hand can always be written down.
NOTE_PRESSURE = NOTE_LIMIT * 3 // 4

_RUNS = 1
_SINGLES = 2
#: No hub has nearly as many references in hand; a note that claims more is damaged.
_MOST_OPEN = 65536


class NoteUnreadable(ValueError):
    """A note that this version cannot read: of a later version, or not ours."""


class Ledger:
    """The ledger of one partition. ``begin`` counts attempts that must be committed before they start."""

    def __init__(self, position: int | None = None) -> None:
        """``position`` is the committed offset, None if nothing was ever committed."""
        self._position = position
        #: Open offsets in ascending order (delivery is in order), with the attempts begun.
        self._open: dict[int, int] = {}
        #: From a note: offsets below this are done unless they are in `_expected`.
        self._known_until = -1
        self._base = position or 0
        self._expected: dict[int, int] = {}

    @classmethod
    def load(cls, offset: int | None, note: str) -> Ledger:
        """The ledger as committed. Delivery then starts at ``offset``.

        Raises:
            NoteUnreadable: the note is not one of ours.
        """
        ledger = cls(offset)
        if offset is not None and note:
            span, expected = _decode(offset, note)
            ledger._known_until = offset + span
            ledger._expected = expected
        return ledger

    @property
    def open(self) -> int:
        """How many delivered offsets are not done."""
        return len(self._open)

    def deliver(self, offset: int) -> bool:
        """Take in a delivered offset; False if it is done already, or delivered twice."""
        if offset in self._open:
            return False
        if self._position is None or offset >= self._position:
            self._position = offset + 1
        if self._in_note_as_done(offset):
            return False
        self._open[offset] = self._expected.pop(offset, 0)
        return True

    def settled(self, offset: int) -> bool:
        """Whether the commit that this ledger was loaded from says that the offset is done.

        An offset below the committed one counts as done here; :meth:`deliver` takes it in all the same, because the
        broker delivers one only after the partition was made anew.
        """
        return offset < self._base or self._in_note_as_done(offset)

    def attempts(self, offset: int) -> int:
        """Attempts begun at an open offset."""
        return self._open[offset]

    def begin(self, offset: int) -> int:
        """Count the start of an attempt; returns how many have begun. Commit before it starts."""
        self._open[offset] += 1
        return self._open[offset]

    def withdraw(self, offset: int) -> None:
        """Take a begun attempt back: it was ended by an outage or a shutdown, not by the job."""
        self._open[offset] = max(0, self._open[offset] - 1)

    def recall(self, offset: int, attempts: int) -> None:
        """Set the attempts begun at an open offset, from a ledger that knew more than the note did."""
        self._open[offset] = attempts

    def skip(self, first: int) -> None:
        """Offsets below ``first`` that have not come will not come: the broker has dropped them."""
        self._expected = {offset: attempts for offset, attempts in self._expected.items() if offset >= first}
        self._position = max(first, self._position or 0)

    def finish(self, offset: int) -> None:
        """The offset is done.

        Raises:
            KeyError: it is not open.
        """
        del self._open[offset]

    def progress(self, finished: Collection[int] = ()) -> tuple[int, str] | None:
        """What to commit once ``finished`` are done too: the first offset that is not done, and the note.

        None if nothing is known yet.
        """
        if self._position is None:
            return None
        # Offsets that an earlier member had in hand and that have not come yet stay open.
        waiting = {**self._expected, **self._open}
        for offset in finished:
            del waiting[offset]
        end = max(self._position, self._known_until)
        offsets = sorted(waiting)
        if not offsets:
            return end, ""
        return offsets[0], _encode(offsets[0], end, offsets, waiting)

    def _in_note_as_done(self, offset: int) -> bool:
        return self._base <= offset < self._known_until and offset not in self._expected

    @property
    def pressed(self) -> bool:
        """The note is near its limit: take nothing more in until something is done."""
        mark = self.progress()
        return mark is not None and len(mark[1]) > NOTE_PRESSURE


def unfinished(offset: int | None, note: str, first: int, end: int) -> int:
    """How many references of a partition are not done, from what is committed and the partition's own offsets.

    Offsets that hold no record (transaction markers) count as references, as nobody outside can tell.

    Raises:
        NoteUnreadable: the note is not one of ours.
    """
    if offset is None:
        return end - first
    span, waiting = _decode(offset, note) if note else (0, {})
    return len(waiting) + max(0, end - max(first, offset + span))


def _encode(base: int, end: int, offsets: list[int], attempts: dict[int, int]) -> str:
    runs: list[list[int]] = []
    following = base
    for offset in offsets:
        if runs and offset == following:
            runs[-1][1] += 1
        else:
            runs.append([offset - following, 0])
        following = offset + 1
    begun = [(index, attempts[offset]) for index, offset in enumerate(offsets) if attempts[offset]]
    tail = [len(begun), *(n for pair in begun for n in pair)]
    skips = [offset - before - 1 for before, offset in zip([base - 1, *offsets], offsets, strict=False)]
    packed = min(
        _pack(_RUNS, [end - base, len(runs), *(n for run in runs for n in run), *tail]),
        _pack(_SINGLES, [end - base, len(skips), *skips, *tail]),
        key=len,
    )
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode("ascii")


def _decode(base: int, note: str) -> tuple[int, dict[int, int]]:
    """The span from the base that is known, and the open offsets with their attempts."""
    try:
        packed = base64.b64decode(note.encode("ascii") + b"=" * (-len(note) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise NoteUnreadable("the note is not base64") from error
    if not packed or packed[0] not in (_RUNS, _SINGLES):
        raise NoteUnreadable(
            f"the note is of version {packed[:1].hex() or 'none'}, this lfk reads {_RUNS} and {_SINGLES}"
        )
    numbers = _numbers(packed[1:])
    try:
        span = next(numbers)
        offsets: list[int] = []
        following = base
        for _ in range(next(numbers)):
            start = following + next(numbers)
            following = start + (next(numbers) if packed[0] == _RUNS else 0) + 1
            if following > base + span or len(offsets) + following - start > _MOST_OPEN:
                raise NoteUnreadable("the note's runs pass its end")
            offsets.extend(range(start, following))
        attempts = dict.fromkeys(offsets, 0)
        for _ in range(next(numbers)):
            index = next(numbers)
            attempts[offsets[index]] = next(numbers)
    except (StopIteration, IndexError) as error:
        raise NoteUnreadable("the note is cut short") from error
    return span, attempts


def _pack(version: int, numbers: list[int]) -> bytes:
    return bytes([version]) + b"".join(_leb128(number) for number in numbers)


def _leb128(number: int) -> bytes:
    out = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        out.append(low | (0x80 if number else 0))
        if not number:
            return bytes(out)


def _numbers(packed: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in packed:
        number |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            yield number
            number = shift = 0
        elif shift > 63:
            raise NoteUnreadable("a number in the note is too large")
    if shift:
        raise NoteUnreadable("the note is cut short")
