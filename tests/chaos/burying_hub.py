"""The real ``lfk`` command that SIGKILLs itself at a step of deleting audio in time.

Started as a script in place of ``python -m lfk``; production code knows nothing of it. ``CHAOS_POINT`` is one of
:data:`POINTS`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lfk.stores.s3 import S3Store

#: When it dies: before or after a call of the store, which is told by its name and a part of the key.
POINTS: dict[str, tuple[str, str, str]] = {
    "before-record": ("before", "put", "/.lfk/expiring/"),
    "after-record": ("after", "put", "/.lfk/expiring/"),
    "before-tombstone": ("before", "put", "/.lfk/tombstones/"),
    "after-tombstone": ("after", "put", "/.lfk/tombstones/"),
    "audio-hidden": ("after", "delete", "/audio/"),
    "version-gone": ("after", "delete_version", "/audio/"),
    "record-gone": ("after", "delete", "/.lfk/expiring/"),
}


def condemn(point: str) -> None:
    """Let the call of that point be this process's last."""
    when, method, part = POINTS[point]
    call: Callable[..., Any] = getattr(S3Store, method)

    def watched(store: S3Store, location: Any, *args: Any, **named: Any) -> Any:
        here = part in str(location)
        if here and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        done = call(store, location, *args, **named)
        if here:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    setattr(S3Store, method, watched)


if __name__ == "__main__":
    # The script's own folder comes first, and lfk's is the one that is tested.
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from lfk.cli.main import main

    condemn(os.environ["CHAOS_POINT"])
    sys.exit(main(sys.argv[1:]))
