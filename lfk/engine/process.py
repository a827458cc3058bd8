"""An engine in a child process: started, fed, held to its limits, and replaced when it dies or has grown old.

The hub imports no speech library and survives whatever these do. A task is ended by what it asked for, by an error
of the engine, or by this side: too long, too much memory, or dead. In the last three cases the child's whole process
group is killed and another child starts while the caller goes on; the task ends in a typed error, or, if a
recognition is there already and the job did not say otherwise, in what was found so far with a warning.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lfk.core.errors import (
    EngineCrashed,
    EngineError,
    EngineOutOfMemory,
    EngineTimeout,
    EngineUnavailable,
    LfkError,
)
from lfk.engine.base import Outcome, Recognised, StageProgress, Task, Vitals
from lfk.engine.child_process import ChildGone, ChildProcess, Launch
from lfk.engine.limits import Allowance, EngineLimits
from lfk.engine.team import Spare, Team
from lfk.engine.wire import Message, error_from_dict, outcome_from_dict, task_to_dict

log = logging.getLogger(__name__)

#: How often memory and time are looked at while a task runs.
_WATCH_SECONDS = 0.25
#: A child that waits for work takes it within milliseconds; one that does not in so long hangs.
_TAKE_SECONDS = 30.0
#: Children that may fail to start, one after another, before this machine is said to have no engine.
_START_ATTEMPTS = 3
#: What of a crash's last words goes into an error, and so into an announcement.
_LAST_WORDS = 600
#: An engine that holds hardly more than after its first job needs that much: another one would soon hold the same.
_GROWN = 1.2


class ProcessEngine:
    """See the module. One task at a time; :meth:`close` may be called from any thread."""

    def __init__(self, launch: Launch, limits: EngineLimits) -> None:
        """Start the first child; it loads while the caller goes on.

        Raises:
            EngineUnavailable: no process can be started at all.
        """
        self._launch = launch
        self._limits = limits
        self._lock = threading.Lock()
        self._closed = False
        self._jobs = 0
        self._spare: Spare | None = None
        #: Bytes that the present child held after its first job.
        self._first_held = 0
        self._failed = self._recycled = 0
        self._child = self._spawn()

    @property
    def ready(self) -> bool:
        """Its child has loaded."""
        return not self._closed and self._child.ready.is_set()

    @property
    def vitals(self) -> Vitals:
        """See :class:`lfk.engine.base.Engine`."""
        return Vitals(0 if self._closed else self._child.memory(), self._failed, self._recycled)

    @property
    def pid(self) -> int:
        """Process id of the present child."""
        return self._child.pid

    def run(self, task: Task, progress: StageProgress | None = None, recognised: Recognised | None = None) -> Outcome:
        """See :class:`lfk.engine.base.Engine`."""
        child = self._begin({"type": "run", "task": task_to_dict(task)})
        team = Team(child, self._spare)
        errand = _Errand(child, Allowance(self._limits, _size(task)), progress, recognised, team)
        try:
            outcome = outcome_from_dict(errand.follow(self._stopped)["outcome"])
        except _Refused as refused:
            if refused.unfit:
                self._replace()
            raise refused.error from None
        except EngineError as error:
            self._replace()
            if self._closed or errand.kept is None or task.options.get("on_stage_error") == "fail":
                raise
            log.warning("%s failed, what was found before is kept: %s", errand.stage, error)
            return _degraded(errand.kept, errand.stage, error)
        except BaseException:
            # A callback failed, or the thread is being stopped: the child still works for nobody.
            self._replace()
            raise
        finally:
            team.close()
        self._jobs += 1
        self._recycle()
        return outcome

    def cooperate(self, spare: Spare) -> None:
        """See :class:`lfk.engine.team.Cooperative`."""
        self._spare = spare

    def assist(self, kind: str, seconds: float, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """See :class:`lfk.engine.team.Helper`."""
        child = self._begin({"type": "assist", "kind": kind, "data": dict(data)})
        allowance = Allowance.for_piece(self._limits, seconds)
        try:
            answer: Mapping[str, Any] = _Errand(child, allowance).follow(self._stopped)["answer"]
        except _Refused as refused:
            if refused.unfit:
                self._replace()
            raise refused.error from None
        except BaseException:
            self._replace()
            raise
        return answer

    def close(self) -> None:
        """Kill the child, whatever it does."""
        with self._lock:
            self._closed = True
            child = self._child
        child.kill()

    def _stopped(self) -> bool:
        return self._closed

    def _begin(self, message: Message) -> ChildProcess:
        """A child that has taken the task, or the piece of one.

        Raises:
            EngineUnavailable: none comes up.
            EngineCrashed: the engine is closed.
        """
        problem: LfkError = EngineCrashed("the engine did not start")
        for _attempt in range(_START_ATTEMPTS):
            child = self._child
            try:
                self._await_ready(child)
                child.send(message)
                self._await_begun(child)
                return child
            except EngineUnavailable:
                # Its own words; another child would say the same.
                raise
            except ChildGone:
                # Dead before it knew of the task, so the task is not to blame.
                problem = _crash(child, "while it started")
            except LfkError as error:
                problem = error
            if self._closed:
                raise EngineCrashed("the engine was stopped") from None
            self._replace()
        raise EngineUnavailable(f"no engine comes up on this machine: {problem}", hint=problem.hint) from problem

    def _await_ready(self, child: ChildProcess) -> None:
        deadline = child.started + self._limits.start_seconds
        while not child.ready.is_set():
            left = deadline - time.monotonic()
            if left <= 0:
                raise EngineTimeout(
                    f"the engine did not start within {self._limits.start_seconds:.0f} s",
                    hint="raise LFK_ENGINE_START_TIMEOUT, or start fewer engines at a time",
                )
            message = child.receive(min(left, _WATCH_SECONDS))
            if message is not None and message["type"] == "error":
                raise error_from_dict(message["error"])

    def _await_begun(self, child: ChildProcess) -> None:
        """Until the child has the task in hand: what ends it before that is not the task's doing.

        Raises:
            ChildGone: it has ended, or hangs.
        """
        deadline = time.monotonic() + _TAKE_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            message = child.receive(min(left, _WATCH_SECONDS))
            if message is not None and message["type"] == "begun":
                return
        raise ChildGone("it does not take its task")

    def _recycle(self) -> None:
        """Replace a child that has done its share of jobs, or has grown too large."""
        limits = self._limits
        held = self._child.memory() if limits.recycle_bytes else 0
        if self._jobs == 1:
            self._first_held = held
        old = bool(limits.recycle_jobs) and self._jobs >= limits.recycle_jobs
        if old or (held > limits.recycle_bytes and held > self._first_held * _GROWN):
            log.info("replacing engine process %d after %d jobs; it held %d MiB", self.pid, self._jobs, held >> 20)
            self._replace(planned=True)

    def _replace(self, *, planned: bool = False) -> None:
        """Another child in place of this one; none once the engine is closed."""
        self._child.kill()
        self._jobs = 0
        with self._lock:
            if self._closed:
                return
            if planned:
                self._recycled += 1
            else:
                self._failed += 1
            self._child = self._spawn()

    def _spawn(self) -> ChildProcess:
        try:
            return ChildProcess(self._launch)
        except (OSError, ChildGone) as error:
            raise EngineUnavailable(f"cannot start an engine process: {error}") from error


@dataclass
class _Refused(Exception):
    """The engine has ended the task with an error of its own."""

    error: LfkError
    unfit: bool


class _Errand:
    """One task on its way through a child."""

    def __init__(
        self,
        child: ChildProcess,
        allowance: Allowance,
        progress: StageProgress | None = None,
        recognised: Recognised | None = None,
        team: Team | None = None,
    ) -> None:
        self._child = child
        self._progress = progress
        self._recognised = recognised
        self._team = team
        self._begun = time.monotonic()
        self._allowance = allowance
        self.stage = "decode"
        #: What was there after the last stage that came to an end.
        self.kept: Outcome | None = None

    def follow(self, stopped: Callable[[], bool]) -> Message:
        """Until the end of the task: the message that ends it.

        Raises:
            EngineError: a limit, or the child's end.
            _Refused: the engine says no.
        """
        looked = self._begun
        while True:
            try:
                message = self._child.receive(_WATCH_SECONDS)
            except ChildGone:
                if stopped():
                    raise EngineCrashed("the engine was stopped") from None
                raise _crash(self._child, f"in stage {self.stage}") from None
            if message is not None:
                if message["type"] in ("result", "answer"):
                    return message
                self._hear(message)
            if time.monotonic() - looked >= _WATCH_SECONDS:
                looked = time.monotonic()
                self._check()

    def _hear(self, message: Message) -> None:
        match message["type"]:
            case "progress":
                self.stage = message["stage"]
                if self._progress is not None:
                    self._progress(self.stage, message["part"])
            case "audio":
                self._allowance.audio_is(message["seconds"])
            case "loading":
                self._allowance.model_loads()
            case "checkpoint":
                self._keep(outcome_from_dict(message["outcome"]))
            case "offer" | "claimed":
                if self._team is not None:
                    self._team.hear(message)
            case "error":
                raise _Refused(error_from_dict(message["error"]), message["unfit"])

    def _keep(self, outcome: Outcome) -> None:
        first = self.kept is None
        self.kept = outcome
        if first and outcome.recognised is not None and self._recognised is not None:
            self._recognised(outcome.recognised)

    def _check(self) -> None:
        taken = time.monotonic() - self._begun
        if taken > self._allowance.seconds:
            audio = self._allowance.audio_seconds
            length = f"{audio:.1f} s of audio" if audio is not None else "audio of unknown length"
            raise EngineTimeout(f"stopped in stage {self.stage} after {taken:.0f} s, for {length}")
        limit = self._allowance.memory_bytes
        if limit and (held := self._child.memory()) > limit:
            raise EngineOutOfMemory(
                f"stopped in stage {self.stage}: the engine held {held >> 20} MiB; the limit is {limit >> 20} MiB"
            )


def _size(task: Task) -> int:
    try:
        return task.audio.stat().st_size
    except OSError:
        # The child says what is wrong with the file.
        return 0


def _degraded(kept: Outcome, stage: str, error: EngineError) -> Outcome:
    return Outcome(
        kept.transcript.with_warnings(f"{stage} failed and is left out: {error}"),
        kept.timings,
        kept.provenance,
        kept.reused_stages,
        kept.recognised,
    )


def _crash(child: ChildProcess, when: str) -> EngineCrashed:
    """What is known of a child's end."""
    status = child.end()
    if status < 0:
        try:
            how = f"was killed by {signal.Signals(-status).name}"
        except ValueError:
            how = f"was killed by signal {-status}"
    else:
        how = f"ended with status {status}"
    hint = None
    if status == -signal.SIGKILL:
        hint = "the system kills a process when memory runs out: use fewer workers or a smaller model"
    last = f"; it said last: {' | '.join(child.tail)}"[:_LAST_WORDS] if child.tail else ""
    return EngineCrashed(f"the engine process {how} {when}{last}", hint=hint)
