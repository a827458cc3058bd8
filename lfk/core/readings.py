"""What a number about lfk is: its metric, its value, its labels. Pure; who shows it is the telemetry room's business.

Labels are from allow-lists, whatever is written in a message: each combination is a series of its own that a
Prometheus keeps, so a key or file name among them would end its memory.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeVar

from lfk.core.approaches import APPROACHES, KNOWN_MODELS
from lfk.core.errors import LfkError

Kind = Literal["counter", "gauge", "histogram"]
E = TypeVar("E")

#: Stands for whatever is on no list.
OTHER = "other"
#: Where a job can be, in the order of its way.
STAGES = ("receive", "parse", "resolve", "fetch", "queue", "decode", "transcribe", "align", "diarise", "write")
#: What takes time, as announcements tell it.
TIMED = ("queued", "fetch", "decode", "transcribe", "align", "diarise", "write")


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric as Prometheus knows it: base units, ``_total`` where it only grows."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    #: Upper bounds of a histogram, ascending.
    buckets: tuple[float, ...] = ()
    #: Made up of events, as they are told of; else its value is looked up while a page is made.
    told: bool = False

    def of(self, value: float, *labels: str) -> Reading:
        """A reading; ``labels`` in the order of the metric's."""
        return Reading(self, value, labels)


@dataclass(frozen=True, slots=True)
class Reading:
    """A value of a metric. Told: what an event adds to a counter, or one observation of a histogram. Looked up: what a
    gauge or counter has come to."""

    metric: Metric
    value: float
    labels: tuple[str, ...] = ()


#: Looks up readings while a page is made; called from threads of the server.
Look = Callable[[], Iterator[Reading]]


def listed(name: str, known: Collection[str]) -> str:
    """The name if it is on the list, else :data:`OTHER`."""
    return name if name in known else OTHER


def pair_labels(pair: str | None) -> tuple[str, str]:
    """Approach and model of ``approach.model``."""
    approach, _dot, model = (pair or "").partition(".")
    return listed(approach, APPROACHES), listed(model, KNOWN_MODELS)


def code_label(code: str) -> str:
    """An error's code, as far as it is one of lfk's."""
    return listed(code, _codes())


def stage_label(stage: str) -> str:
    """Where a job is or was."""
    return listed(stage, STAGES)


@lru_cache(maxsize=1)
def _codes() -> frozenset[str]:
    def below(error: type[LfkError]) -> Iterator[str]:
        yield error.code
        for one in error.__subclasses__():
            yield from below(one)

    return frozenset(below(LfkError))
