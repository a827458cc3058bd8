"""Where the work stands: what waits in each topic, what each hub is at, how much has failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lfk.brokers.base import Broker
from lfk.core.addressing import Roots
from lfk.core.ledger import unfinished
from lfk.roles.failures import Failures
from lfk.roles.heartbeat import HubReport, hub_reports
from lfk.stores.base import ObjectStore


@dataclass(frozen=True, slots=True)
class Status:
    """``waiting`` counts unfinished references by topic; empty where no broker is at hand."""

    waiting: Mapping[str, int]
    hubs: tuple[HubReport, ...]
    failures: int


def look(broker: Broker | None, store: ObjectStore, roots: Roots, group: str, topics: tuple[str, ...]) -> Status:
    """Look at broker and store once.

    Raises:
        Unreachable: one of them does not answer.
    """
    waiting: dict[str, int] = {}
    for topic in topics if broker is not None else ():
        if broker is not None and broker.partitions(topic):
            waiting[topic] = sum(
                unfinished(
                    standing.progress.offset if standing.progress else None,
                    standing.progress.note if standing.progress else "",
                    standing.first,
                    standing.end,
                )
                for standing in broker.standing(group, topic).values()
            )
    return Status(
        waiting=waiting,
        hubs=tuple(report for report in hub_reports(store, roots.records) if report.alive),
        failures=Failures(store, roots.records).count(),
    )
