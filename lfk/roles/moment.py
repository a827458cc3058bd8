"""Points in time as people write them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from lfk.core.errors import UsageError

_AGO = re.compile(r"([0-9]{1,9})([smhdw])")
_MILLISECONDS: Mapping[str, int] = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def parse_moment(text: str, setting: str, now: int, *, hint: str = "") -> int:
    """Milliseconds since the epoch: an ISO 8601 time (without an offset it is of this machine's zone), or how long
    before ``now`` it was, such as ``90m``, ``24h``, ``7d``.

    Raises:
        UsageError: it is neither; ``setting`` is what holds it.
    """
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return max(0, now - int(ago[1]) * _MILLISECONDS[ago[2]])
    try:
        # Python 3.10 does not read the letter that ISO 8601 has for UTC.
        moment = datetime.fromisoformat(f"{text[:-1]}+00:00" if text.endswith(("Z", "z")) else text)
        return max(0, int(moment.astimezone().timestamp() * 1000))
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(
            f"{setting}: {text[:80]!r} is no time",
            hint=hint or "use a time such as 2026-01-31T08:00, or how long ago it was, such as 90m, 24h or 7d",
        ) from error
