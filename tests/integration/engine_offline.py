"""The real engine in a process that ends at once if anything in it looks up a name or opens a connection."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Any

from lfk.engine.pipeline import build as build_engine
from lfk.engine.reporting import ChildEngine

#: Exit status that says so.
REACHED_OUT = 77


def _refuse(*_args: Any, **_kwargs: Any) -> Any:
    os._exit(REACHED_OUT)


def build(config: Mapping[str, Any]) -> ChildEngine:
    """As :mod:`lfk.engine.child` calls it. ``config['reach_out']`` proves that the trap works."""
    socket.socket.connect = _refuse  # type: ignore[method-assign]
    socket.getaddrinfo = _refuse
    if config.get("reach_out"):
        socket.create_connection(("127.0.0.1", 9))
    return build_engine(config)
