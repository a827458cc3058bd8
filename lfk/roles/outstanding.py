"""What is to be asked for (again): audio chosen by its state, as references that only have to be sent.

One walk for each kind of choice, and every item says where its walk is behind it, so that an interrupted one goes on
there. Held in memory: the recorded failures, and the transcript keys that open batches ask for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from lfk.core.addressing import AudioAddress, Roots, resolve
from lfk.core.batch import Entry, Head
from lfk.core.errors import LfkError, ObjectMissing, RejectedReference
from lfk.core.location import Location, parse_location
from lfk.core.media_types import content_type
from lfk.core.messages import AudioReference
from lfk.core.request import Request
from lfk.core.selection import Chosen
from lfk.core.stock import Wanting
from lfk.roles.batch_progress import Judge, OpenBatches
from lfk.roles.batches import Batches
from lfk.roles.examine import Examined, Examiner
from lfk.roles.failed import Failed, NewestFailures
from lfk.roles.parallel import in_parallel
from lfk.roles.recording import Outgoing
from lfk.roles.stock import Stock, StockPlace, has_transcript
from lfk.stores.base import ObjectInfo, ObjectStore

#: What tells the walks apart in an item's ``until``.
_STOCK, _FAILED = "stock", "failed"


#: How far open batches are through, in the place of a head.
OPEN = "open"


@dataclass(frozen=True, slots=True)
class _Seen:
    """A place, and what of it is outstanding."""

    examined: Examined
    #: Its audio has no transcript as it is now: none at all, another audio's, or one of what it was before.
    lacks: bool
    #: The last of these.
    replaced: bool = False
    #: The transcript lacks files.
    incomplete: bool = False


class Choice:
    """Finds what is chosen. One owner."""

    def __init__(
        self,
        store: ObjectStore,
        roots: Roots,
        chosen: Chosen,
        failed: list[Failed],
        misfit: Callable[[str, LfkError], None],
        *,
        quick: bool = False,
    ) -> None:
        """Nothing is read or sent yet.

        Args:
            misfit: gets the name of what was chosen and cannot be asked for.
            quick: believe the listings' times, and read only manifests that are older than their audio. Audio that
                was replaced while its former content was being transcribed is not found then.
        """
        self._store = store
        self._roots = roots
        self._chosen = chosen
        self._failed = failed
        self._misfit = misfit
        self._judge = Judge(store, roots, ())
        self._quick = quick

    def items(self, until: str | None = None, asked_already: frozenset[str] = frozenset()) -> Iterator[Outgoing]:
        """What is chosen, from behind ``until`` on.

        Args:
            asked_already: transcript keys that are passed over, as a batch asks for them.
        """
        only = set(self._chosen.only)
        walk, _space, place = (until or "").partition(" ")
        if walk != _FAILED:
            if "all" in only:
                yield from self._forced(self._all(parse_location(place) if place else None))
            if only & {"missing", "stale"}:
                yield from self._forced(self._by_state(place, asked_already))
            place = ""
        if "failed" in only:
            yield from self._forced(self._failures(place))

    # --- walks

    def _all(self, after: Location | None) -> Iterator[Outgoing]:
        for one in self._stock().audios(after):
            yield self._item(one.info, one.address, until=f"{_STOCK} {one.info.location}")

    def _by_state(self, place: str, asked_already: frozenset[str]) -> Iterator[Outgoing]:
        newest = NewestFailures(self._failed)
        only = self._chosen.only
        places = (one for one in self._stock().places() if not place or f"{one.key}." > f"{place}.")
        for seen in self._seen(places):
            key = seen.examined.place.key
            audio = seen.examined.place.audio
            until = f"{_STOCK} {key}"
            if key in asked_already:
                continue
            if audio is not None and seen.lacks and not (seen.replaced and "stale" in only):
                # What failed is asked for once, in its own words, where failures are chosen, too.
                failed = (newest.ever if "failed" in only else newest.since)(audio.info, audio.address.pair)
                if "missing" in only and not failed:
                    yield self._item(audio.info, audio.address, until=until)
            elif "stale" in only and (seen.examined.stale or seen.incomplete):
                yield from self._renewed(seen.examined, until)

    def _seen(self, places: Iterator[StockPlace]) -> Iterator[_Seen]:
        """Places, and what is wrong with their transcripts; several manifests are read at a time."""
        examiner = Examiner(self._store, self._roots)
        stale = "stale" in self._chosen.only

        def look(place: StockPlace) -> _Seen:
            if not has_transcript(place):
                return _Seen(Examined(place), lacks=place.audio is not None)
            if self._quick and not _is_older(place):
                return _Seen(Examined(place), lacks=False)
            examined = examiner.look(place)
            mine = place.audio
            others = mine is not None and (examined.manifest is None or examined.audio is not mine.info)
            replaced = mine is not None and not others and examined.stale
            incomplete = stale and next(examiner.faults(examined, deep=False), None) is not None
            return _Seen(examined, lacks=others or replaced, replaced=replaced, incomplete=incomplete)

        # Transcripts that messages asked for lie apart from their audio, which is found by reading all of them. What
        # of them is outstanding open batches tell.
        alone = stale and not self._chosen.below and not self._chosen.request.names_pair
        yield from in_parallel(look, (place for place in places if place.audio is not None or alone))

    def _renewed(self, examined: Examined, until: str) -> Iterator[Outgoing]:
        """A transcript of older audio, or one that lacks files; where a message had asked for it, so again."""
        info, address = examined.audio, examined.address
        if info is None or address is None or not self._wants(info):
            return
        by_path = examined.place.audio is not None
        yield self._item(info, address, until=until, pair=None if by_path else address.pair)

    def _failures(self, place: str) -> Iterator[Outgoing]:
        newest: dict[str, Failed] = {}
        for one in self._failed:
            if one.reference is not None and self._chosen.in_time(one.timestamp / 1000):
                name = f"{one.path} {one.reference.transcription_approach} {sorted(one.reference.options.items())}"
                if name not in newest or newest[name].timestamp < one.timestamp:
                    newest[name] = one
        names = sorted(name for name in newest if name > place)
        for name, item in zip(names, in_parallel(self._again, (newest[name] for name in names)), strict=True):
            if isinstance(item, Outgoing):
                yield replace(item, until=f"{_FAILED} {name}")
            elif item is not None:
                self._misfit(newest[name].path or newest[name].event_id, item)

    def _again(self, failed: Failed) -> Outgoing | LfkError | None:
        """The reference that failed, once more; on a reader's thread."""
        asked = failed.reference
        if asked is None:
            return None
        mine = self._chosen.request
        try:
            address = resolve(asked.path_to_audio, asked.transcription_approach, self._roots)
            if mine.names_pair:
                address = mine.resolve(str(address.location), self._roots)
            if not self._chosen.holds(address.location, self._roots.audio):
                return None
            info = self._store.stat(address.location)
        except (RejectedReference, ObjectMissing) as error:
            return error
        request = Request(language=mine.language or asked.language, options={**asked.options, **mine.options})
        force = self._chosen.force or asked.force
        return self._outgoing(info, address, request, address.pair, None, force, failed.event_id)

    # --- items

    def _stock(self) -> Stock:
        return Stock(
            self._store,
            self._roots,
            request=self._chosen.request,
            below=self._chosen.below,
            wants=self._wants,
            misfit=lambda info, error: self._misfit(str(info.location), error),
        )

    def _wants(self, info: ObjectInfo) -> bool:
        return self._chosen.in_time(info.modified) and self._chosen.holds(info.location, self._roots.audio)

    def _item(self, info: ObjectInfo, address: AudioAddress, *, until: str, pair: str | None = None) -> Outgoing:
        request = self._chosen.request
        pair = address.pair if request.names_pair else pair
        return self._outgoing(info, address, request, pair, until, self._chosen.force, None)

    def _outgoing(
        self,
        info: ObjectInfo,
        address: AudioAddress,
        request: Request,
        pair: str | None,
        until: str | None,
        force: bool,
        cause: str | None,
    ) -> Outgoing:
        reference = request.reference(
            address,
            pair,
            int(time.time() * 1000),
            etag=info.etag,
            version_id=info.version_id,
            size=info.size,
            content_type=content_type(info.location.name),
            force=force,
            causation_id=cause,
        )
        entry = Entry(reference, info.modified)
        return Outgoing(str(info.location), info.location, entry, info.size, own=True, until=until)

    def _forced(self, items: Iterator[Outgoing]) -> Iterator[Outgoing]:
        """Forced work is answered by another transcript than the one that is there now, so that one is noted."""
        if not self._chosen.force and "failed" not in self._chosen.only:
            return items
        return in_parallel(self._noted, items)

    def _noted(self, item: Outgoing) -> Outgoing:
        if not item.reference.force:
            return item
        address = resolve(item.reference.path_to_audio, item.reference.transcription_approach, self._roots)
        there = self._judge.manifest(address)
        return item if there is None else replace(item, entry=replace(item.entry, before=there.event_id))


def reopened(
    batches: Batches, opened: OpenBatches, chosen: Chosen, roots: Roots, own: Head | None, asked: set[str]
) -> Iterator[Outgoing]:
    """What open batches still ask for of what is chosen, in their own words; ``asked`` gets the transcript keys.

    The batch ``own`` is passed over, and of others what its place says was sent already.
    """
    place = (own.place if own is not None else None) or ""
    behind = tuple(place.split(" ")[1:]) if place.startswith(f"{OPEN} ") else ("", "")
    for head in batches.open():
        if own is not None and head.batch_id == own.batch_id:
            continue
        for name, entries in opened.outstanding(head):
            items = [item for entry in entries if (item := _asked_again(entry, chosen, roots, asked)) is not None]
            if items and (head.batch_id, name) > behind:
                yield from items[:-1]
                yield replace(items[-1], until=f"{OPEN} {head.batch_id} {name}")
        if next(batches.parts(head.batch_id), None) is None:
            opened.tally(head)


def _asked_again(entry: Entry, chosen: Chosen, roots: Roots, asked: set[str]) -> Outgoing | None:
    reference = replace(entry.reference, timestamp=int(time.time() * 1000))
    try:
        address = resolve(reference.path_to_audio, reference.transcription_approach, roots)
        item = as_outgoing(entry, reference)
    except RejectedReference:
        return None
    if not chosen.holds(item.audio, roots.audio) or not chosen.in_time(entry.modified or time.time()):
        return None
    asked.add(address.transcript_key)
    return item


def as_outgoing(entry: Entry, reference: AudioReference) -> Outgoing:
    """An entry of some batch, to be sent as ``reference``.

    Raises:
        RejectedReference: its location cannot be used.
    """
    audio = parse_location(reference.path_to_audio)
    return Outgoing(str(audio), audio, replace(entry, reference=reference), reference.size or 0)


def _is_older(place: StockPlace) -> bool:
    """Whether the transcript's last file was written before the audio, which usually means that it is stale."""
    audio: Wanting[ObjectInfo] | None = place.audio
    if audio is None or not has_transcript(place):
        return False
    return max(info.modified for info in place.files.values()) < audio.info.modified
