"""Model weights and the store: what lies below ``<store>/models/``, and what is where.

The store mirrors the models folder: ``<name>/<file>``, and a lock that says what belongs together. A model counts as
there when the lock says so, so one that is half sent is no model. What the lock says comes from outside: its names
are checked when it is parsed, its hashes when a model is fetched.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from lfk.core.errors import (
    AccessDenied,
    AudioTooLarge,
    BucketMissing,
    ContentChanged,
    LfkError,
    ModelInvalid,
    ObjectMissing,
    PreconditionFailed,
    SourceConflict,
)
from lfk.core.location import Location
from lfk.core.model_manifest import (
    LOCK_NAME,
    MAX_LOCK_BYTES,
    Entry,
    Locked,
    Pin,
    parse_lock,
    render_lock,
)
from lfk.engine.models.base import Progress, Weights
from lfk.engine.models.library import ModelLibrary, missing
from lfk.stores.base import IfAbsent, IfMatch, ObjectInfo, ObjectStore

log = logging.getLogger(__name__)

#: Several machines may push at the same time; each needs one turn at the lock.
_LOCK_TURNS = 20
_BINARY = "application/octet-stream"


class StoredModels:
    """``<store>/models/``, from where models are fetched and where they are pushed to."""

    def __init__(self, store: ObjectStore, root: Location, progress: Progress | None = None) -> None:
        """``root`` is the prefix; ``progress`` is told of every byte that moves."""
        self._store = store
        self.root = root
        self._progress = progress

    def lock(self) -> dict[str, Locked]:
        """The models that are there.

        Raises:
            ModelInvalid: the lock cannot be understood.
            StoreUnreachable: the store does not answer.
        """
        return self._lock()[0]

    def names(self) -> Collection[str]:
        """See :class:`lfk.engine.models.base.StoreSupplier`."""
        return self.lock().keys()

    def fetch(self, entry: Entry, into: Path) -> Locked | None:
        """See :class:`lfk.engine.models.base.StoreSupplier`."""
        locked = self.lock().get(entry.name)
        if locked is None:
            return None
        for file, pin in sorted(locked.files.items()):
            self._download(entry.name, file, pin, into / file)
        return locked

    def push(self, weights: Weights, locked: Locked) -> bool:
        """Copy verified weights into the store; False if they were there already.

        Raises:
            SourceConflict: the store holds other weights of that name.
            StoreError: it refuses them.
        """
        there = self.lock().get(weights.name)
        if there is not None and dict(there.files) == dict(locked.files):
            return False
        if there is not None:
            raise SourceConflict(
                f"the store holds other weights of {weights.name}, from {there.source}",
                hint=f"remove {self.root.join(weights.name)} and its entry in {LOCK_NAME} there first",
            )
        for file in sorted(weights.files):
            self._store.upload(
                weights.path / file,
                self.root.join(f"{weights.name}/{file}"),
                content_type=_BINARY,
                progress=self._progress,
            )
        self._record(weights.name, locked)
        return True

    def _download(self, name: str, file: str, pin: Pin, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        location = self.root.join(f"{name}/{file}")
        try:
            info, sha256 = self._store.download(location, path, limit=pin.size or 0, progress=self._progress)
        except (ObjectMissing, AudioTooLarge, ContentChanged) as error:
            raise ModelInvalid(
                f"{name}: {location} is not what the store's {LOCK_NAME} says: {error}",
                hint=f"push it again from a machine that has it: `lfk models push {name}`",
            ) from error
        if not pin.allows(info.size, sha256):
            raise ModelInvalid(
                f"{name}: {location} is not the file that the store's {LOCK_NAME} names: its sha256 is {sha256[:16]}…",
                hint=f"remove it there and push it again: `lfk models push {name}`",
            )

    def _record(self, name: str, locked: Locked) -> None:
        for _turn in range(_LOCK_TURNS):
            entries, info = self._lock()
            text = render_lock({**entries, name: locked})
            try:
                self._store.put(
                    self.root.join(LOCK_NAME),
                    text.encode(),
                    content_type="application/json",
                    condition=IfAbsent() if info is None else IfMatch(info.etag),
                )
            except PreconditionFailed:
                continue
            return
        raise PreconditionFailed(f"{self.root.join(LOCK_NAME)} is rewritten all the time", hint="push again later")

    def _lock(self) -> tuple[dict[str, Locked], ObjectInfo | None]:
        try:
            data, info = self._store.read(self.root.join(LOCK_NAME), limit=MAX_LOCK_BYTES)
        except (ObjectMissing, BucketMissing):
            return {}, None
        except AccessDenied as error:
            # Whoever may read audio need not be let at models; those then come from elsewhere.
            log.warning("%s may not be read: %s", self.root, error)
            return {}, None
        try:
            return parse_lock(data.decode("utf-8")), info
        except UnicodeDecodeError as error:
            raise ModelInvalid(f"{self.root.join(LOCK_NAME)} is not text", hint="put a backup of it back") from error


def lock_of(library: ModelLibrary, weights: Weights) -> Locked:
    """What a lock says of weights that were just verified."""
    recorded = library.folder.lock().get(weights.name)
    if recorded is not None and dict(recorded.files) == dict(weights.files):
        return recorded
    return Locked(weights.source, weights.source_revision, weights.form, weights.files)


class State(str, Enum):
    """Where a model is, seen from this machine."""

    READY = "ready"
    INVALID = "invalid"
    STORED = "in the store"
    OUT = "at a hub"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Standing:
    """One model and where it is."""

    entry: Entry
    state: State
    weights: Weights | None = None
    error: LfkError | None = None

    @property
    def size(self) -> int | None:
        """Bytes, where known."""
        return self.weights.size if self.weights else self.entry.size


def survey(
    library: ModelLibrary, entries: Iterable[Entry], stored: Mapping[str, Locked], *, fresh: bool = False
) -> Iterator[Standing]:
    """Where each model is. What is on this machine is verified; ``fresh`` reads every byte of it."""
    for entry in entries:
        try:
            weights = library.find(entry.name, fresh=fresh)
        except LfkError as error:
            yield Standing(entry, State.INVALID, error=error)
            continue
        if weights is not None:
            yield Standing(entry, State.READY, weights)
        elif entry.name in stored:
            yield Standing(entry, State.STORED)
        elif any(source.kind.remote for source in entry.sources):
            yield Standing(entry, State.OUT)
        else:
            yield Standing(entry, State.ABSENT, error=missing(entry, hub_allowed=False))
