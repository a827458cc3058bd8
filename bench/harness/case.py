"""A case: one row or more of the target table, and how they are measured."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench.harness.figures import Figure, Round


@dataclass(frozen=True)
class Size:
    """How much of everything: 1 is what the targets are stated for."""

    part: float = 1.0
    #: Turns of each side; None for what the case thinks best.
    rounds: int | None = None

    def of(self, full: int, least: int = 1) -> int:
        """That part of a number."""
        return max(least, round(full * self.part))

    def turns(self, best: int) -> int:
        """Rounds to run."""
        return self.rounds or best


@dataclass
class Measured:
    """What a case has to show."""

    figures: list[Figure]
    #: Rounds by side.
    sides: Mapping[str, Sequence[Round]] = field(default_factory=dict)
    #: Model, options, audio, and what is counted.
    set_up: Mapping[str, str] = field(default_factory=dict)
    #: Rivals that are not on this machine.
    absent: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    #: Points of a curve, for cases that show how cost grows: x, y and the axes' names.
    curve: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Case:
    """One entry of the harness."""

    name: str
    title: str
    #: About how long it takes on two quiet cores.
    minutes: float
    run: Callable[[Path, Size], Measured]
    #: Not part of the target table, but of how cost grows.
    growth: bool = False
    #: The part of the full size that tells a clear loss within seconds; 0 where there is no such size.
    smoke: float = 0.0


def alternate(sides: Mapping[str, Callable[[int], Round]], rounds: int) -> dict[str, list[Round]]:
    """Every side once a round; every other round turns the order. Sides are given the number of the round."""
    done: dict[str, list[Round]] = {name: [] for name in sides}
    for turn in range(rounds):
        for name in list(sides)[:: 1 if turn % 2 == 0 else -1]:
            one = sides[name](turn)
            done[name].append(one)
            used = "" if one.processor is None else f", {one.processor:.1f} s of processor"
            say(f"round {turn + 1} of {rounds}: {name}: {one.wall:.2f} s{used}")
    return done


def say(text: str) -> None:
    """Progress, for whoever waits."""
    print(f"  {time.strftime('%H:%M:%S')} {text}", flush=True)


class Clock:
    """Wall time of a block, and processor time of processes that live through it."""

    def __init__(self, *pids: int) -> None:
        self._pids = pids

    def __enter__(self) -> Clock:
        self._used = self._seconds()
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def stop(self, ended: float | None = None) -> Round:
        """What has passed, up to ``ended`` (of ``time.perf_counter``) if it is over for longer."""
        wall = (time.perf_counter() if ended is None else ended) - self._began
        self.round = Round(wall, self._seconds() - self._used)
        return self.round

    def _seconds(self) -> float:
        """Of the processes, their living children, and this process's children that have ended."""
        total = 0.0
        for pid in self._pids:
            process = psutil.Process(pid)
            for one in (process, *process.children(recursive=True)):
                try:
                    times = one.cpu_times()
                except psutil.NoSuchProcess:
                    continue
                total += times.user + times.system
        ended = os.times()
        return total + ended.children_user + ended.children_system
