"""What the store holds, walked once in the order of transcript keys: audio, transcripts and who owns which.

Listings alone, so a thousand objects cost one request. Audio is sorted by its transcript key on the way, on disk
where there is much of it (:mod:`lfk.roles.spool`); for everything else see :mod:`lfk.core.stock`.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence

from lfk.core.addressing import AudioAddress, Roots
from lfk.core.errors import LfkError, ObjectMissing, RejectedReference
from lfk.core.formats import MANIFEST, formats
from lfk.core.location import Location, parse_location
from lfk.core.media_types import is_media
from lfk.core.request import Request
from lfk.core.stock import Place, Wanting, by_transcript, in_order, join
from lfk.roles.spool import Row, ordered
from lfk.stores.base import ObjectInfo, ObjectStore

log = logging.getLogger(__name__)

#: A location has at most 1024 bytes of key besides its bucket.
_OWNER_LIMIT = 16 << 10

StockPlace = Place[ObjectInfo]


def _pass_over(info: ObjectInfo, error: LfkError) -> None:
    log.warning("%s is passed over: %s", info.location, error)


class Stock:
    """A walk over the whole store."""

    def __init__(
        self,
        store: ObjectStore,
        roots: Roots,
        *,
        request: Request | None = None,
        below: Sequence[Location] = (),
        wants: Callable[[ObjectInfo], bool] = lambda _info: True,
        misfit: Callable[[ObjectInfo, LfkError], None] = _pass_over,
    ) -> None:
        """Walk over everything, or over the audio that is below a few prefixes and wanted.

        Args:
            request: what is asked of the audio, where it is not what the path implies.
            misfit: gets audio whose path no reference could ask for.
        """
        self._store = store
        self._roots = roots
        self._request = request or Request()
        self._below = tuple(below) or (roots.audio,)
        self._wants = wants
        self._misfit = misfit

    def places(self) -> Iterator[StockPlace]:
        """Every transcript key that an audio's path asks for, or that has files."""
        return join(self._audios(), self._transcripts(), self._owners(), self._owns)

    def audios(self, after: Location | None = None) -> Iterator[Wanting[ObjectInfo]]:
        """The audio, prefix by prefix in the order of its keys, with what is asked of it.

        ``after`` is the last one of an earlier walk over the same prefixes.
        """
        behind = after is None
        for prefix in self._below:
            if not behind and after is not None:
                behind = prefix.contains(after)
                if not behind:
                    continue
            start = after.key if after is not None and prefix.contains(after) else None
            for info in self._store.list(prefix, after=start):
                if not is_audio(info.location, self._roots) or not self._wants(info):
                    continue
                try:
                    yield Wanting(info, self._address(info.location))
                except RejectedReference as error:
                    self._misfit(info, error)

    def _address(self, location: Location) -> AudioAddress:
        return self._request.resolve(str(location), self._roots)

    def _audios(self) -> Iterator[tuple[str, Wanting[ObjectInfo]]]:
        for key, path, size, etag, modified in ordered(map(_row, self.audios()), _by_key):
            location = parse_location(path)
            yield key, Wanting(ObjectInfo(location, size, etag, modified), self._address(location))

    def _transcripts(self) -> Iterator[tuple[str, dict[str, ObjectInfo]]]:
        root, records = self._roots.transcripts, self._roots.records
        listed = (
            (root.relative(info.location), info)
            for info in self._store.list(root)
            if not records.contains(info.location)
        )
        for key, files in by_transcript(listed, formats()):
            yield key, dict(files)

    def _owners(self) -> Iterator[tuple[str, ObjectInfo]]:
        folder = self._roots.records.join("owners").as_prefix()
        return in_order((folder.relative(info.location), info) for info in self._store.list(folder))

    def _owns(self, record: ObjectInfo, audio: Location) -> bool:
        text = str(audio).encode("utf-8")
        if record.size != len(text):
            return False
        # Many stores' ETag of a small object is the MD5 of its bytes; where it is, nothing has to be read.
        if record.etag == hashlib.md5(text, usedforsecurity=False).hexdigest():
            return True
        return read_owner(self._store, record.location) == str(audio)


def read_owner(store: ObjectStore, location: Location) -> str | None:
    """The audio that an owner's record names; None if the record is gone."""
    try:
        return store.read(location, limit=_OWNER_LIMIT)[0].decode("utf-8", "replace")
    except ObjectMissing:
        return None


def is_audio(location: Location, roots: Roots) -> bool:
    """A recording by its name; transcripts and records that share a bucket with the audio are not."""
    return is_media(location.name) and not roots.is_ours(location)


def has_transcript(place: StockPlace) -> bool:
    """A complete transcript is there, as far as listings tell."""
    return MANIFEST in place.files


def _row(one: Wanting[ObjectInfo]) -> Row:
    info = one.info
    return one.address.transcript_key, str(info.location), info.size, info.etag, info.modified


def _by_key(row: Row) -> str:
    return f"{row[0]}."
