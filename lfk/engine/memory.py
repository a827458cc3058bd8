"""Memory that was freed, given back to the system; and a ceiling over what a piece of work may take.

glibc keeps what networks free for the next network, in pieces that no longer fit: aligning 150 segments left 390 MB of
such pieces behind, all of which it gave back when asked (measured).
"""

from __future__ import annotations

import ctypes
import re
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: Other C libraries have no such call, and less need of it.
_trim: Any = getattr(ctypes.CDLL(None), "malloc_trim", None)


def give_back() -> None:
    """Takes some milliseconds; nothing that is in use is touched."""
    if _trim is not None:
        _trim(0)


@contextmanager
def memory_ceiling(more: int) -> Iterator[None]:
    """Within the block this process gets at most ``more`` bytes beyond what it holds: whatever asks for further ones
    is told that there are none (``MemoryError``, as a rule), and goes on living.

    Without effect where the system has no such limit; private mappings of files count, too.
    """
    held = _data_bytes()
    before, most = resource.getrlimit(resource.RLIMIT_DATA)
    ceiling = held + more
    if not held or (before != resource.RLIM_INFINITY and before < ceiling):
        yield
        return
    resource.setrlimit(resource.RLIMIT_DATA, (ceiling, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, most))


def _data_bytes() -> int:
    """What the kernel counts against the limit; 0 where it counts only a heap that nobody uses any more."""
    if sys.platform != "linux":
        return 0
    found = re.search(
        r"^VmData:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii", errors="replace"), re.M
    )
    return int(found[1]) << 10 if found else 0
