"""What the page is told, as JSON-ready data."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lfk.core.catalogue import Row, State
from lfk.roles.catalogue import Snapshot
from lfk.roles.heartbeat import HubReport
from lfk.roles.pulse import Point, Pulse

#: Finished transcripts are counted in steps of so many seconds, over so many steps: the last two hours.
STEP_SECONDS = 300
STEPS = 24
#: Points of a plot that are sent.
_PLOTTED = 240


def row_view(row: Row, details: Mapping[str, Any]) -> dict[str, Any]:
    """One row of the list."""
    view: dict[str, Any] = {
        "key": row.key,
        "name": row.name,
        "state": row.state.value,
        "time": row.time,
        "pair": row.pair,
        "size": row.size,
        **details,
    }
    if row.state is State.FAILED:
        view["failure"] = {"event": row.event, "code": row.code, "message": row.message, "hint": row.hint}
    if row.state is State.DONE:
        view["etag"] = row.etag
    if row.state is State.WORKING:
        view |= {"stage": row.stage, "part": row.part}
    return view


def finished_view(snapshot: Snapshot, now: float) -> list[int]:
    """How many transcripts were finished in each step of the last hours, the oldest first."""
    steps: Counter[int] = Counter()
    for row in snapshot.rows:
        age = int(max(0.0, now - row.time) // STEP_SECONDS)
        if age >= STEPS:
            break
        if row.state is State.DONE:
            steps[age] += 1
    return [steps[age] for age in reversed(range(STEPS))]


def _thinned(points: Sequence[Point]) -> Sequence[Point]:
    """As many as a plot has room for, the newest among them."""
    step = max(1, -(-len(points) // _PLOTTED))
    return points[(len(points) - 1) % step :: step] if points else points


def pulse_view(pulse: Pulse, snapshot: Snapshot | None, hubs: Sequence[HubReport] | None) -> dict[str, Any]:
    """Backlog, speed, what each hub is at, and how it came to be. None is what nobody knows just now."""
    ahead, status = pulse.outlook, pulse.status
    return {
        "points": [[round(p.time), p.files, round(p.audio), round(p.speed, 2)] for p in _thinned(pulse.points)],
        "finished": finished_view(snapshot, time.time()) if snapshot is not None else None,
        "step": STEP_SECONDS,
        "files": sum(status.waiting.values()) if status is not None else None,
        "broker": bool(status.waiting) if status is not None else None,
        "audio": ahead.audio if ahead is not None else None,
        "estimate": ahead.is_estimate if ahead is not None else False,
        "speed": ahead.pace.speed if ahead is not None and ahead.pace is not None else None,
        "left": ahead.seconds_left if ahead is not None else None,
        "hubs": None if hubs is None else [_hub_view(hub) for hub in hubs],
        "error": None if pulse.error is None else {"code": pulse.error.code, "message": pulse.error.message},
    }


def _hub_view(hub: HubReport) -> dict[str, Any]:
    return {"host": hub.host, "engines": hub.engines, "running": len(hub.jobs), "trouble": hub.trouble[:300]}
