"""All cases, in the order of the target table. A new one is a module with a ``CASE`` and its name here."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from bench.harness.case import Case

_MODULES = (
    "clips",
    "minutes",
    "long_file",
    "long_diarised",
    "overhead",
    "workers",
    "sync_small",
    "sync_large",
    "resync",
    "submit",
    "skip",
    "startup",
    "memory",
    "growth_jobs",
    "growth_audio",
    "growth_hubs",
)


def cases() -> Mapping[str, Case]:
    """By name."""
    found = [importlib.import_module(f"bench.harness.cases.{name}").CASE for name in _MODULES]
    return {case.name: case for case in found}
