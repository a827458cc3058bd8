"""Makes what the other roles need: topics, buckets or folders, source folders. What is there already is left alone.

Every step reports what it made, what was there, and what about it will cause trouble; a step that fails does not
keep the others from being done, except that a service which does not answer is asked only once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lfk.brokers.base import Broker, TopicPlan, TopicState
from lfk.core.approaches import APPROACHES
from lfk.core.errors import BucketMissing, FileUnreadable, LfkError, Unreachable
from lfk.core.location import Location
from lfk.stores.base import ObjectStore

#: Models that get a source folder unless the operator lists others: one of each size.
SOURCE_MODELS = ("tiny", "base", "small", "medium", "large")

#: Kafka's value for "without limit".
_UNLIMITED = -1


@dataclass(frozen=True, slots=True)
class Step:
    """What became of one thing."""

    #: ``broker``, ``topic``, ``schema``, ``place`` or ``source folder``.
    kind: str
    name: str
    #: It was made now, or (dry run) would be.
    made: bool = False
    faults: tuple[str, ...] = ()
    error: LfkError | None = None


def make_topics(broker: Broker, plans: Sequence[TopicPlan], *, dry_run: bool) -> Iterator[Step]:
    """Create what is missing and look at what is there; nothing of it where the broker lets nobody in."""
    try:
        broker.check()
    except LfkError as error:
        yield Step("broker", broker.address, error=error)
        return
    for plan in plans:
        try:
            state = broker.describe([plan.name]).get(plan.name)
            if state is not None:
                yield Step("topic", plan.name, faults=topic_faults(plan, state))
                continue
            made = dry_run or plan.name in broker.ensure_topics([plan])
        except LfkError as error:
            yield Step("topic", plan.name, error=error)
            if isinstance(error, Unreachable):
                return
        else:
            yield Step("topic", plan.name, made=made)


def topic_faults(plan: TopicPlan, state: TopicState) -> tuple[str, ...]:
    """What about an existing topic will cause trouble, each with what to do."""
    faults = []
    if state.partitions < plan.partitions:
        faults.append(
            f"{state.partitions} partitions instead of {plan.partitions} let fewer hubs work at a time: "
            f"kafka-topics.sh --alter --topic {plan.name} --partitions {plan.partitions}"
        )
    policy = state.config.get("cleanup.policy", "delete")
    if policy != "delete":
        faults.append(f"cleanup.policy={policy} drops records that nobody has read: set it to delete")
    for name, wanted in plan.config.items():
        have = state.config.get(name)
        if have is not None and have.lstrip("-").isdigit() and not _satisfies(name, int(have), int(wanted)):
            faults.append(f"{name}={have} instead of {wanted}: {_consequence(name, int(wanted))}")
    return tuple(faults)


def make_places(store: ObjectStore, places: Iterable[Location], *, dry_run: bool) -> Iterator[Step]:
    """Create the buckets or folders of these prefixes."""
    for place in dict.fromkeys(places):
        try:
            made = _is_missing(store, place) if dry_run else store.ensure(place)
        except LfkError as error:
            yield Step("place", str(place), error=error)
            if isinstance(error, Unreachable):
                return
        else:
            yield Step("place", str(place), made=made)


def make_source_folders(folder: Path, models: Sequence[str], *, dry_run: bool) -> Iterator[Step]:
    """Create ``folder/approach/model/`` for every approach and the models."""
    for approach in APPROACHES:
        for model in models:
            path = folder / approach / model
            there = path.is_dir()
            try:
                if not dry_run:
                    path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                yield Step("source folder", str(path), error=FileUnreadable(f"cannot be made: {error.strerror}"))
            else:
                yield Step("source folder", str(path), made=not there)


def _is_missing(store: ObjectStore, place: Location) -> bool:
    try:
        store.check(place)
    except BucketMissing:
        return True
    return False


def _satisfies(name: str, have: int, wanted: int) -> bool:
    if wanted == _UNLIMITED or have == _UNLIMITED:
        # Kept for ever where a limit was wanted costs disk and loses nothing, but is not what was asked for.
        return have == wanted
    return have >= wanted if name == "max.message.bytes" else have > 0


def _consequence(name: str, wanted: int) -> str:
    if name == "max.message.bytes":
        return "larger messages are refused"
    if wanted == _UNLIMITED:
        return "references that nobody has read yet are dropped"
    return "records are kept for ever"
