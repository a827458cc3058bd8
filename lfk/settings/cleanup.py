"""Cleaning up."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from lfk.settings import forms
from lfk.settings.declaring import declare

setting = partial(declare, "cleanup")


@dataclass(frozen=True, kw_only=True)
class CleanupSettings:
    cleanup_older_than: float = setting(
        "LFK_CLEANUP_OLDER_THAN",
        7 * 86400.0,
        "least age of what cleanup deletes: seconds, or such as 12h, 30d, 2w",
        parse=forms.age,
        flag="--older-than",
        metavar="AGE",
    )
    cleanup_yes: bool = setting(
        "LFK_CLEANUP_YES",
        False,
        "delete; without it cleanup only says what it would",
        parse=forms.flag,
        flag="--yes",
    )
