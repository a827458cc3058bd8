"""What this machine computes with, told without loading anything that computes.

In a container that is what the container was given, not what the host has: engines sized by the host's cores and
memory would crowd each other out and be killed.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path

import psutil

_DEVICES = Path("/dev")
_GPU = re.compile(r"nvidia\d+")
#: Where Linux tells a container its limits: version 2 of control groups, then version 1.
_GROUPS = Path("/sys/fs/cgroup")


def gpu_count(environment: Mapping[str, str], devices: Path = _DEVICES) -> int:
    """NVIDIA GPUs that a process with that environment may use: those whose device files are here and that
    CUDA_VISIBLE_DEVICES does not hide."""
    try:
        here = sum(bool(_GPU.fullmatch(entry.name)) for entry in devices.iterdir())
    except OSError:
        return 0
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return here
    # CUDA takes the list up to the first entry that names no device.
    named = 0
    for entry in visible.split(","):
        if not entry.strip() or entry.strip().startswith("-"):
            break
        named += 1
    return min(here, named)


def core_count(groups: Path = _GROUPS) -> int:
    """Processor cores that this process may use, at least 1; a share of a core counts as one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, period = [*_numbers(groups / "cpu.max"), None, None][:2]
    if quota is None:
        quota = next(iter(_numbers(groups / "cpu" / "cpu.cfs_quota_us")), None)
        period = next(iter(_numbers(groups / "cpu" / "cpu.cfs_period_us")), None)
    if not quota or not period or quota < 0:
        return cores
    return max(1, min(cores, math.ceil(quota / period)))


def memory_bytes(groups: Path = _GROUPS) -> int:
    """Memory that this process and its children may use together."""
    total = psutil.virtual_memory().total
    limits = [*_numbers(groups / "memory.max"), *_numbers(groups / "memory" / "memory.limit_in_bytes")]
    return min([total, *(limit for limit in limits if limit > 0)])


def _numbers(path: Path) -> list[int]:
    """The numbers in a control file; none where there is no such file, and none behind ``max``."""
    try:
        words = path.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return []
    numbers: list[int] = []
    for word in words:
        if not re.fullmatch(r"-?\d+", word):
            break
        numbers.append(int(word))
    return numbers
