"""What hubs are at, for `lfk status`: each keeps one small object in the store up to date while it lives.

The store is the one place that every machine sees. A hub that was killed leaves its object behind; readers tell by
its age, and the next hub on that machine removes it.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import psutil

from lfk.core.errors import LfkError
from lfk.core.location import Location
from lfk.stores.base import ObjectStore

log = logging.getLogger(__name__)

#: Between two beats: often enough to watch a job, seldom enough to cost nothing.
BEAT_SECONDS = 5.0
#: A hub that has not been heard of for this long is gone.
GONE_SECONDS = 60.0
_LIMIT = 1 << 20
#: No system counts processes beyond this.
_LARGEST_PID = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class HubReport:
    """A hub as it last told. ``jobs`` are those that run; ``age`` is seconds since it told."""

    host: str
    pid: int
    age: float
    engines: int
    done: int
    failed: int
    jobs: tuple[Mapping[str, Any], ...]
    #: What keeps it from working; empty if nothing does.
    trouble: str = ""
    #: What the one that deletes stored audio tells of it; see :class:`lfk.roles.hub.backups.BackupsKeeper`.
    backups: Mapping[str, Any] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        """It told lately, and where that can be seen from here, its process is there."""
        here = self.host == socket.gethostname()
        return self.age < GONE_SECONDS and (not here or psutil.pid_exists(self.pid))


class Heartbeat:
    """Writes this process's object until it is closed, then removes it."""

    def __init__(self, store: ObjectStore, records: Location, snapshot: Callable[[], Mapping[str, Any]]) -> None:
        """``snapshot`` tells what the hub is at; it is called from a thread of this class's own."""
        self._store = store
        self._location = _folder(records).join(f"{socket.gethostname()}-{os.getpid()}.json")
        self._snapshot = snapshot
        self._records = records
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lfk-heartbeat", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop telling, and take back what was told."""
        self._stopping.set()
        self._thread.join(BEAT_SECONDS)
        try:
            self._store.delete(self._location)
        except LfkError as error:
            log.warning("%s stays: %s", self._location, error)

    def _beat(self) -> None:
        self._sweep()
        while True:
            told = {"host": socket.gethostname(), "pid": os.getpid(), "time": time.time(), **self._snapshot()}
            try:
                self._store.put(self._location, json.dumps(told).encode("utf-8"), content_type="application/json")
            except LfkError as error:
                log.debug("not told: %s", error)
            if self._stopping.wait(BEAT_SECONDS):
                return

    def _sweep(self) -> None:
        """Remove what hubs of this machine left behind when they were killed."""
        try:
            for location, report in _reports(self._store, self._records):
                if report.host == socket.gethostname() and not psutil.pid_exists(report.pid):
                    self._store.delete(location)
        except LfkError as error:
            log.debug("not swept: %s", error)


def hub_reports(store: ObjectStore, records: Location) -> Iterator[HubReport]:
    """Every hub that has told of itself and not taken it back."""
    for _location, report in _reports(store, records):
        yield report


def _reports(store: ObjectStore, records: Location) -> Iterator[tuple[Location, HubReport]]:
    for info in store.list(_folder(records)):
        try:
            report = _report(json.loads(store.read(info.location, limit=_LIMIT)[0]))
        except (LfkError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            log.warning("%s is passed over: %s %s", info.location, type(error).__name__, error)
        else:
            yield info.location, report


def _report(told: Mapping[str, Any]) -> HubReport:
    """As told; whoever can write into the store can tell anything, so each value gets the type that readers rely on."""
    return HubReport(
        host=str(told["host"]),
        pid=max(0, min(int(told["pid"]), _LARGEST_PID)),
        age=max(0.0, time.time() - float(told["time"])),
        engines=int(told["engines"]),
        done=int(told["done"]),
        failed=int(told["failed"]),
        jobs=tuple(
            {
                **job,
                "stage": str(job["stage"]),
                "part": float(job["part"]),
                "seconds": float(job["seconds"]),
                "audio": str(job["audio"]),
            }
            for job in told["jobs"]
        ),
        trouble=str(told.get("trouble", "")),
        backups=dict(told.get("backups") or {}),
    )


def _folder(records: Location) -> Location:
    return Location(records.scheme, records.bucket, f"{records.as_prefix().key}hubs/")
