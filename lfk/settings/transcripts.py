"""Reading transcripts: which, where to, and what is run for each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from lfk.settings import forms
from lfk.settings.declaring import declare

setting = partial(declare, "transcripts")


@dataclass(frozen=True, kw_only=True)
class TranscriptSettings:
    output: str = setting("LOCAL_NODE_OUTPUT_FOLDER", "", "folder for transcripts that are downloaded", flag="--out")
    follow: bool = setting("LFK_FOLLOW", False, "go on with what comes", parse=forms.flag, flag="--follow")
    start_from: str = setting(
        "LFK_FROM", "", "beginning, end, a time such as 2026-01-31T08:00, or 24h (ago)", flag="--from"
    )
    format: tuple[str, ...] = setting(
        "LFK_FORMAT", (), "formats to print or download", parse=forms.words, flag="--format"
    )
    links: bool = setting("LFK_LINKS", False, "make a link for every file", parse=forms.flag, flag="--links")
    link_seconds: int = setting(
        "LFK_LINK_SECONDS", 3600, "how long links work", parse=forms.count, flag="--link-seconds"
    )
    filter: tuple[str, ...] = setting(
        "LFK_FILTER",
        (),
        "only announcements with status=, approach=, model=, language=, path=PATTERN, batch=",
        parse=forms.words,
        flag="--filter",
        metavar="NAME=VALUE",
    )
    command: tuple[str, ...] = setting(
        "LFK_EXEC", (), "program and arguments to run for each transcript, see --exec", parse=forms.command
    )
    command_timeout: float = setting(
        "LFK_EXEC_TIMEOUT",
        600.0,
        "seconds that the command may take for one transcript",
        parse=forms.seconds,
        flag="--exec-timeout",
    )
    command_attempts: int = setting(
        "LFK_EXEC_ATTEMPTS",
        3,
        "how often a command that fails is run in all",
        parse=forms.count,
        flag="--exec-attempts",
    )
    transcripts_group: str = setting(
        "LFK_TRANSCRIPTS_GROUP",
        "",
        "consumer group of `transcripts --follow` with --out or --exec; empty means one per machine and folder or "
        "command",
    )
