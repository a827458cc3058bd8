"""Choosing among what is there, by time and number."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from lfk.settings import forms
from lfk.settings.declaring import declare

setting = partial(declare, "choosing")


@dataclass(frozen=True, kw_only=True)
class ChoosingSettings:
    since: str = setting("LFK_SINCE", "", "from then on: a time such as 2026-01-31T08:00, or 24h (ago)", flag="--since")
    until: str = setting("LFK_UNTIL", "", "before then; written as --since", flag="--until")
    limit: int = setting("LFK_LIMIT", 0, "at most that many; 0 means all", parse=forms.count, flag="--limit")
