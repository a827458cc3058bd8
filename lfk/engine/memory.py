"""Memory that was freed, given back to the system.

glibc keeps what networks free for the next network, in pieces that no longer fit: aligning 150 segments left 390 MB of
such pieces behind, all of which it gave back when asked (measured).
"""

from __future__ import annotations

import ctypes
from typing import Any

#: Other C libraries have no such call, and less need of it.
_trim: Any = getattr(ctypes.CDLL(None), "malloc_trim", None)


def give_back() -> None:
    """Takes some milliseconds; nothing that is in use is touched."""
    if _trim is not None:
        _trim(0)
