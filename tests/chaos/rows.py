"""Every run there is: which fault, over how many jobs, and where. A row of docs/RELIABILITY.md each.

``full`` is what ``make chaos`` runs and records, ``short`` what ``make test`` runs; rows without one of them are not
run there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from tests.chaos.faults import InTurn, KillsAt, Poison, RandomKills, RollingRestart, Storm, Zombies
from tests.chaos.killing_hub import POINTS
from tests.chaos.outages import BROKER, STORE, Cut, Kill, Pause, Restart, breaks_off, latency, resets, silence
from tests.chaos.run import Fault

#: What of a fault says how often it happens.
_COUNTS = ("times", "rounds")

#: ``shared`` with all tests, a server of the row's ``own`` to stop and kill, or one of its own behind a ``proxy``.
Place = Literal["shared", "own", "proxied"]


@dataclass(frozen=True, slots=True)
class Size:
    """How much of it. ``engine``: seconds a job takes; ``limit``: seconds after which a run is stuck."""

    fault: Fault
    jobs: int
    engine: float
    limit: float
    runs: int = 1
    poisons: int = 0

    def scaled(self, scale: float) -> Size:
        """So much more or less of it, and never nothing."""
        return replace(
            self, fault=scaled(self.fault, scale), jobs=max(20, round(self.jobs * scale)), limit=60 + self.limit * scale
        )


def scaled(fault: Any, scale: float) -> Fault:
    """The fault so many times more or less often."""
    return replace(
        fault, **{f.name: max(1, round(getattr(fault, f.name) * scale)) for f in fields(fault) if f.name in _COUNTS}
    )


@dataclass(frozen=True, slots=True)
class Row:
    """A fault with its sizes. ``outage``: it is nobody's attempt, so no healthy audio may be charged one."""

    name: str
    title: str
    full: Size | None = None
    short: Size | None = None
    hubs: int = 3
    broker: Place = "shared"
    store: Place = "shared"
    outage: bool = False
    attempts: int = 3
    #: For the hubs alone: how they die.
    environ: Mapping[str, str] = field(default_factory=dict)


#: Kills are charged to whatever they hit, as nobody can tell a poison from bad luck; with the default of three
#: attempts, one of a thousand jobs is hit three times in a row by chance.
_UNLUCKY = 10

ROWS = (
    Row(
        "kill-random",
        "`kill -9` of one of 3 hubs at random",
        full=Size(RandomKills(200), jobs=1000, engine=1.0, limit=5400),
        short=Size(RandomKills(5), jobs=60, engine=0.5, limit=300),
        attempts=_UNLUCKY,
    ),
    *(
        Row(
            f"kill-at-{point}",
            f"`kill -9` at the step *{point}*",
            full=Size(KillsAt((point,), times=10), jobs=120, engine=0.5, limit=600),
            hubs=2,
            attempts=_UNLUCKY,
        )
        for point in POINTS
    ),
    Row(
        "kill-at-each-step",
        "`kill -9` at each step in turn",
        short=Size(KillsAt(), jobs=60, engine=0.5, limit=300),
        hubs=1,
        attempts=_UNLUCKY,
    ),
    Row(
        "flaky-engine",
        "`kill -9` at random, while a third of all tasks fail",
        full=Size(RandomKills(20), jobs=200, engine=0.3, limit=1200),
        environ={"CHAOS_FLAKY": "0.33"},
        attempts=2 * _UNLUCKY,
    ),
    Row(
        "broker-restart",
        "broker restarted",
        full=Size(Restart(BROKER, times=3), jobs=150, engine=1.0, limit=600, runs=2),
        broker="own",
        outage=True,
    ),
    Row(
        "broker-kill",
        "broker killed with `kill -9`, down for 5 s",
        full=Size(Kill(BROKER, times=3, down=5.0), jobs=150, engine=1.0, limit=600, runs=2),
        broker="own",
        outage=True,
    ),
    Row(
        "broker-pause",
        "broker stopped for 30 s (SIGSTOP)",
        full=Size(Pause(BROKER, times=2), jobs=150, engine=1.0, limit=600, runs=2),
        broker="own",
        outage=True,
    ),
    Row(
        "broker-slow",
        "broker answers 400 ms later, give or take 300 ms",
        full=Size(latency(BROKER, 400, 300, times=2, seconds=30.0), jobs=150, engine=1.0, limit=600),
        broker="proxied",
        outage=True,
    ),
    Row(
        "broker-resets",
        "every connection to the broker reset after 0.4 s, for 5 s at a time",
        full=Size(resets(BROKER, 400, times=6), jobs=150, engine=1.0, limit=600, runs=2),
        broker="proxied",
        outage=True,
    ),
    Row(
        "broker-silent",
        "no byte gets through to the broker for 20 s",
        full=Size(silence(BROKER, times=2, seconds=20.0), jobs=150, engine=1.0, limit=600, runs=2),
        broker="proxied",
        outage=True,
    ),
    Row(
        "broker-faults",
        "broker restarted, killed, stopped for 8 s, connections reset",
        short=Size(
            InTurn((Restart(BROKER), Kill(BROKER), Pause(BROKER, seconds=8.0), resets(BROKER, 300))),
            jobs=60,
            engine=0.5,
            limit=300,
        ),
        hubs=2,
        broker="proxied",
        outage=True,
    ),
    Row(
        "store-down",
        "store out of reach for 30 s",
        full=Size(Cut(STORE, times=2), jobs=150, engine=1.0, limit=600, runs=2),
        store="proxied",
        outage=True,
    ),
    Row(
        "store-kill",
        "store killed with `kill -9`, down for 10 s",
        full=Size(Kill(STORE, times=3, down=10.0), jobs=150, engine=1.0, limit=600, runs=2),
        store="own",
        outage=True,
    ),
    Row(
        "store-slow",
        "store answers 400 ms later, give or take 300 ms",
        full=Size(latency(STORE, 400, 300, times=2, seconds=30.0), jobs=150, engine=1.0, limit=600),
        store="proxied",
        outage=True,
    ),
    Row(
        "store-resets",
        "every connection to the store reset after 0.1 s, for 5 s at a time",
        full=Size(resets(STORE, 100, times=6), jobs=150, engine=1.0, limit=600, runs=2),
        store="proxied",
        outage=True,
    ),
    Row(
        "store-silent",
        "no byte gets through to the store for 20 s",
        full=Size(silence(STORE, times=2, seconds=20.0), jobs=150, engine=1.0, limit=900),
        store="proxied",
        outage=True,
    ),
    Row(
        "store-breaks-off",
        "every connection to the store ends after 2,000 bytes, for 10 s at a time",
        full=Size(breaks_off(STORE, 2000, times=4, seconds=10.0), jobs=150, engine=1.0, limit=600),
        store="proxied",
        outage=True,
    ),
    Row(
        "store-faults",
        "store out of reach for 8 s, slow, connections reset",
        short=Size(
            InTurn((Cut(STORE, seconds=8.0), latency(STORE, 300, 200), resets(STORE, 100))),
            jobs=60,
            engine=0.5,
            limit=300,
        ),
        hubs=2,
        store="proxied",
        outage=True,
    ),
    Row(
        "zombie",
        "SIGSTOP of a hub beyond its session, then SIGCONT",
        full=Size(Zombies(15), jobs=400, engine=1.0, limit=1500),
        short=Size(Zombies(1, beyond=(5.0, 6.0)), jobs=60, engine=0.5, limit=300),
        attempts=_UNLUCKY,
    ),
    Row(
        "storm",
        "hubs come and go every 2 s (SIGTERM)",
        full=Size(Storm(60), jobs=500, engine=1.0, limit=1500),
        outage=True,
    ),
    Row(
        "rolling-restart",
        "rolling restart (SIGTERM, one hub after the other)",
        full=Size(RollingRestart(5), jobs=300, engine=1.0, limit=900),
        outage=True,
    ),
    Row(
        "hubs-come-and-go",
        "hubs come and go every 2 s, then a rolling restart",
        short=Size(InTurn((Storm(6), RollingRestart(1))), jobs=60, engine=0.5, limit=300),
        outage=True,
    ),
    Row(
        "poison-hub",
        "audio that kills the whole process group of its hub",
        full=Size(Poison(), jobs=100, engine=0.5, limit=900, poisons=5, runs=2),
        short=Size(Poison(), jobs=20, engine=0.3, limit=300, poisons=1),
        hubs=2,
        environ={"CHAOS_POISON": "hub"},
    ),
    Row(
        "poison-engine",
        "audio that crashes the engine",
        full=Size(Poison(), jobs=100, engine=0.5, limit=600, poisons=5),
        short=Size(Poison(), jobs=20, engine=0.3, limit=300, poisons=2),
        hubs=2,
        environ={"CHAOS_POISON": "engine"},
    ),
)
