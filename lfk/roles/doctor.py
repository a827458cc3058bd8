"""Looks whether things are as they must be; each look says what it found and what to do. Changes nothing for good.

A look is a function that yields :class:`Check` values; one that raises an ``LfkError`` has failed with it, and the
others go on. To look at something more, write one here and name it in :mod:`lfk.wiring.doctor`.
"""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from lfk.brokers.base import Broker, TopicPlan, TopicState
from lfk.core.errors import AccessDenied, ExitCode, LfkError, ModelMissing, ObjectMissing, Unreachable
from lfk.core.location import Location
from lfk.engine.base import EngineKind
from lfk.roles.admin import topic_faults
from lfk.stores.base import ObjectStore

#: A clock that is off by more makes retention and "newer than" wrong; S3 itself refuses requests from 15 minutes on.
_SKEW_SECONDS = 30.0
#: Scratch below this holds no two recordings of an hour as wav.
_LEAST_SCRATCH = 2 << 30
#: nvidia-smi answers in well under a second, unless the driver hangs.
_SMI_SECONDS = 15.0


class Verdict(str, Enum):
    """How a look ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor's: what was looked at, how it is, and what to do."""

    name: str
    verdict: Verdict
    text: str
    hint: str = ""
    #: What a failure makes of the command's exit code.
    exit_code: ExitCode = ExitCode.USAGE


Look = Callable[[], Iterable[Check]]


def examine(looks: Mapping[str, Look]) -> Iterator[Check]:
    """Run the looks in order, by the name that a failed one is reported under."""
    for name, look in looks.items():
        try:
            yield from look()
        except LfkError as error:
            code = ExitCode.UNREACHABLE if isinstance(error, Unreachable) else ExitCode.USAGE
            yield Check(name, Verdict.FAIL, error.message, error.hint, code)


def look_at_place(store: ObjectStore, place: Location) -> Iterator[Check]:
    """Whether a bucket or folder is there and may be listed."""
    store.check(place)
    yield _ok("store", f"{place} can be listed")


def look_at_writing(store: ObjectStore, records: Location) -> Iterator[Check]:
    """Whether objects can be written, read and deleted, by which clock, and what the store does about conditions."""
    probe = records.join(f"probes/doctor-{socket.gethostname()}")
    before = time.time()
    written = store.put(probe, b"ok", content_type="text/plain")
    after = time.time()
    try:
        modified = store.stat(probe).modified
    finally:
        store.delete(probe)
    yield _ok("store", f"{written.location} can be written, read and deleted")
    skew = max(before - modified, modified - after)
    if skew > _SKEW_SECONDS:
        yield _warn("clock", f"this machine and the store differ by {skew:.0f} s", "set the clock (NTP)")
    else:
        yield _ok("clock", "this machine and the store agree")
    if store.capabilities(records).conditional_writes:
        yield _ok("store", "conditional writes are decided by the store")
    else:
        yield _warn(
            "store",
            "this store decides no conditional writes; lfk looks before it writes",
            "two hubs may then do one job twice; use a store that answers If-None-Match, or run one hub",
        )


def look_at_keys(store: ObjectStore, place: Location) -> Iterator[Check]:
    """Whether the store takes the keys: all that keys which list nothing can be asked for while there is nothing."""
    try:
        store.read(place.join("doctor/nothing"), limit=0)
    except (ObjectMissing, AccessDenied) as error:
        # What is missing is no more than forbidden to who may not list.
        if isinstance(error, AccessDenied) and not error.lacks_right:
            raise
    yield _ok("store", f"{place} answers, and knows these keys")


def look_at_broker(broker: Broker) -> Iterator[Check]:
    """Whether the broker answers."""
    yield _ok("broker", f"{broker.address} answers: {broker.check()}")


def partitions_of(broker: Broker, plans: Sequence[TopicPlan]) -> Mapping[str, TopicState]:
    """Of which topics there are how many partitions; unlike how they are set, every role may know it of its own."""
    found = {plan.name: broker.partitions(plan.name) for plan in plans}
    return {name: TopicState(count, {}) for name, count in found.items() if count}


def look_at_topics(
    states: Mapping[str, TopicState], plans: Sequence[TopicPlan], workers: int, read_by_hubs: Collection[str]
) -> Iterator[Check]:
    """Whether the topics are there, keep what nobody has read, and let the workers of one machine work."""
    for plan in plans:
        state = states.get(plan.name)
        if state is None:
            yield Check("topics", Verdict.FAIL, f"there is no topic {plan.name}", "create it with `lfk init`")
            continue
        for fault in topic_faults(plan, state):
            yield _warn("topics", f"{plan.name}: {fault}", "")
        if plan.name in read_by_hubs and state.partitions < 4 * workers:
            yield _warn(
                "topics",
                f"{plan.name} has {state.partitions} partitions for {workers} workers on this machine alone",
                f"4 per worker keep every one of them busy: set LFK_PARTITIONS to {4 * workers} or more",
            )
    if len(states) == len(plans):
        yield _ok("topics", f"{len(states)} of {len(plans)} are there")


def look_at_transactions(broker: Broker, name: str) -> Iterator[Check]:
    """Whether an announcement and its progress go in together; ``name`` begins the transactional id that is tried."""
    if broker.settles_atomically(name):
        yield _ok("transactions", "granted: each reference gets exactly one announcement")
    else:
        yield _warn(
            "transactions",
            "none: an announcement may come twice, with the same event_id",
            "use a Kafka with transactions (LFK_TRANSACTIONS=auto)",
        )


def look_at_engine(kind: EngineKind, model: str, fallback: str | None) -> Iterator[Check]:
    """Whether the engine is installed and the weights of the default model are at hand; loads neither."""
    try:
        identity = kind.identify(model)
    except ModelMissing:
        if fallback is None:
            raise
        identity = kind.identify(fallback)
        yield _ok("model", f"{model} is served by {identity.name} (LFK_MODEL_FALLBACKS), revision {identity.revision}")
    else:
        yield _ok("model", f"{identity.name}, revision {identity.revision}")


def look_for_voices(at_hand: bool) -> Iterator[Check]:
    """Whether it can be told who speaks: the one stage whose weights come with no package that a hub needs anyway."""
    if at_hand:
        yield _ok("model", "embedding, which tells voices apart")
    else:
        yield _warn(
            "model",
            "the weights of embedding are not at hand: diarisation tells no speakers",
            "pip install --no-deps Resemblyzer, or push them to the store from where they are (docs/models.md)",
        )


def look_for_module(module: str, extra: str) -> Iterator[Check]:
    """Whether a package is installed, without importing it."""
    if importlib.util.find_spec(module) is not None:
        yield _ok("engine", f"{module} is installed")
    else:
        yield _warn("engine", f"{module} is not installed, so no hub runs here", f"pip install 'lfk[{extra}]'")


def look_for_ffmpeg() -> Iterator[Check]:
    """Whether ffmpeg is at hand, which is not required."""
    path = shutil.which("ffmpeg")
    yield _ok("ffmpeg", path or "not installed; audio is decoded by PyAV, which needs none")


def look_for_gpu(wanted: str, devices: Path = Path("/dev")) -> Iterator[Check]:
    """What engines can compute on. ``wanted`` is ``auto``, ``cpu`` or ``cuda``."""
    names = _gpu_names()
    if names:
        yield _ok("gpu", "; ".join(names))
    elif any(devices.glob("nvidia[0-9]*")):
        yield _warn("gpu", "there is one, but nvidia-smi does not answer", "check the driver")
    elif wanted == "cuda":
        yield Check("gpu", Verdict.FAIL, "LFK_DEVICE=cuda, but there is no NVIDIA GPU", "set LFK_DEVICE=auto")
    else:
        yield _ok("gpu", "none; engines compute on the CPU")


def look_at_scratch(folder: Path | None, most: int) -> Iterator[Check]:
    """Whether audio can be fetched to this machine. ``most``: bytes that scratch may hold."""
    place = folder or Path(tempfile.gettempdir())
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"ok")
        free = shutil.disk_usage(place).free
    except OSError as error:
        yield Check(
            "scratch", Verdict.FAIL, f"{place} cannot be written: {error.strerror}", "set MAIN_NODE_TEMP_FOLDER"
        )
        return
    text = f"{place} has {free >> 30} GiB free"
    if free < _LEAST_SCRATCH:
        yield _warn("scratch", text, "make room, or set MAIN_NODE_TEMP_FOLDER to a folder that has some")
    elif free < most:
        yield _warn("scratch", f"{text}, less than the {most >> 30} GiB of LFK_SCRATCH_BYTES", "lower it, or make room")
    else:
        yield _ok("scratch", text)


def _gpu_names() -> list[str]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        answer = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=_SMI_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return answer.stdout.strip().splitlines() if answer.returncode == 0 else []


def _ok(name: str, text: str) -> Check:
    return Check(name, Verdict.OK, text)


def _warn(name: str, text: str, hint: str) -> Check:
    return Check(name, Verdict.WARN, text, hint)
