"""References on their way to be sent: those that have to be recorded are, a part at a time, before any is let through.

While one part is sent the next is being written, so that recording costs a bulk sender next to nothing.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from lfk.core.batch import PART_ENTRIES, Entry, of_batch
from lfk.core.location import Location
from lfk.core.messages import AudioReference
from lfk.roles.batches import BatchRecorder


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A reference that is to be sent."""

    #: What to call it: the name that was given, or the location.
    name: str
    audio: Location
    entry: Entry
    #: Bytes of the audio, as far as they are known.
    size: int = 0
    #: It has to be recorded before it is sent.
    own: bool = False
    #: Where the walk that found it is behind it.
    until: str | None = None
    #: The recorded part that it is in, and which entry of it.
    part: int | None = None
    index: int = 0

    @property
    def reference(self) -> AudioReference:
        """What is sent."""
        return self.entry.reference


def recorded(
    items: Iterable[Outgoing], recorder: BatchRecorder | None, part_entries: int = PART_ENTRIES
) -> Generator[Outgoing, None, None]:
    """The items, each after it is recorded if it has to be; those are of the recorder's batch from then on.

    Without a recorder all are let through as they come.
    """
    if recorder is None:
        yield from items
        return
    pool = ThreadPoolExecutor(1, thread_name_prefix="lfk-recorder")
    try:
        before: Future[list[Outgoing]] | None = None
        for group in _groups(items, recorder, part_entries):
            following = pool.submit(_record, recorder, group)
            if before is not None:
                yield from before.result()
            before = following
        if before is not None:
            yield from before.result()
    finally:
        pool.shutdown(wait=True)


def _groups(items: Iterable[Outgoing], recorder: BatchRecorder, part_entries: int) -> Iterator[list[Outgoing]]:
    """As many items together as fill a part; what is not recorded goes along in its order."""
    group: list[Outgoing] = []
    for item in items:
        group.append(_of(item, recorder.head.batch_id) if item.own else item)
        if len(group) >= part_entries:
            yield group
            group = []
    if group:
        yield group


def _of(item: Outgoing, batch_id: str) -> Outgoing:
    return replace(item, entry=replace(item.entry, reference=of_batch(item.reference, batch_id)))


def _record(recorder: BatchRecorder, group: list[Outgoing]) -> list[Outgoing]:
    entries = [item.entry for item in group if item.own]
    if not entries:
        return group
    number = recorder.part(entries, group[-1].until)
    index = 0
    placed = []
    for item in group:
        if not item.own:
            placed.append(item)
            continue
        placed.append(replace(item, part=number, index=index))
        index += 1
    return placed
