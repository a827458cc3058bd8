"""Batch work over what the store holds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from lfk.settings import forms
from lfk.settings.declaring import declare

setting = partial(declare, "batch")


@dataclass(frozen=True, kw_only=True)
class BatchSettings:
    only: tuple[str, ...] = setting(
        "LFK_ONLY",
        ("all",),
        "which audio: all, or some of missing, failed, stale",
        parse=forms.words,
        flag="--only",
    )
    force: bool = setting(
        "LFK_FORCE", False, "transcribe anew what is transcribed already", parse=forms.flag, flag="--force"
    )
    resume: str = setting("LFK_RESUME", "", "go on with this batch, which was interrupted", flag="--resume")
    batch: str = setting("LFK_BATCH", "", "tell how far this batch is", flag="--batch")
    from_file: str = setting(
        "LFK_FROM_FILE", "", "file with one location a line; - is standard input", flag="--from-file"
    )
    trust: bool = setting(
        "LFK_TRUST",
        False,
        "send what a list names without looking whether it is there",
        parse=forms.flag,
        flag="--trust",
    )
    deep: bool = setting(
        "LFK_DEEP",
        False,
        "read every file of every transcript and compare its sha256",
        parse=forms.flag,
        flag="--deep",
    )
