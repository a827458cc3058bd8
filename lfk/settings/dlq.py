"""Dead letters: which are meant, and how they are sent again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from lfk.settings import forms
from lfk.settings.declaring import declare

setting = partial(declare, "dlq")


@dataclass(frozen=True, kw_only=True)
class DeadLetterSettings:
    dlq_causes: tuple[str, ...] = setting(
        "LFK_DLQ_CAUSE",
        (),
        "failures with these error codes",
        parse=forms.words,
        flag="--cause",
        metavar="CODE",
    )
    dlq_key: str = setting(
        "LFK_DLQ_KEY",
        "",
        "failures of this audio or, with a / at its end, of all below this prefix",
        flag="--key",
        metavar="LOCATION",
    )
    dlq_bulk: bool = setting(
        "LFK_DLQ_BULK", False, "retry behind fresh uploads, on the bulk topic", parse=forms.flag, flag="--bulk"
    )
