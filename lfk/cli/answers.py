"""How announcements and a hub's summary look on screen; shared by every command that shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lfk.cli.console import Console
from lfk.core.messages import Announcement
from lfk.core.printable import printable
from lfk.core.timecode import clock

if TYPE_CHECKING:
    from lfk.roles.hub.plan import Summary

#: Longer than any line here; what is longer is not worth a look.
_LINE = 10_000
#: Distinct warnings; those that name a file are endless.
_REMEMBERED = 200
#: In the order of the work.
_STAGES = ("queued", "fetch", "decode", "transcribe", "align", "diarise", "write")


class Notes:
    """What announcements warn of, each text once: a thousand jobs of one hub have the same to say."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told: set[str] = set()

    def show(self, answer: Announcement) -> None:
        """Lines for people; as JSON the announcement itself has its warnings."""
        for warning in answer.warnings:
            if warning in self._told:
                continue
            if len(self._told) >= _REMEMBERED:
                self._told.clear()
            self._told.add(warning)
            self._console.say(f"  note: {printable(warning, _LINE)}")


class Answers:
    """The answers of a hub on screen."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._notes = Notes(console)

    def show(self, answer: Announcement) -> None:
        """One line, and its warnings where they are new."""
        # A file's name may hold line breaks; a line that it forges must not pass for one of ours.
        self._console.note("transcript", answer.to_dict(), printable(answer_line(answer), _LINE))
        self._notes.show(answer)


def answer_line(answer: Announcement) -> str:
    """``done  0:00:25  simple.tiny  location  (fetch 0.0 s, transcribe 1.2 s)`` or why it failed."""
    audio = answer.path_to_audio or f"{answer.topic}/{answer.partition}@{answer.offset}"
    if answer.error is not None:
        message = answer.error.message.removeprefix(f"{audio}: ")
        return f"failed  {audio}  {message} [{answer.error.code}, stage {answer.error.stage}]"
    length = clock(answer.duration) if answer.duration is not None else "-"
    how = "reused" if answer.reused else stage_times(answer)
    speech = ", no speech" if answer.no_speech else ""
    return f"done  {length}  {answer.transcription_approach}  {audio}  ({how}{speech})"


def stage_times(answer: Announcement) -> str:
    """``fetch 0.01 s, transcribe 1.20 s``, in the order of the work."""
    return ", ".join(f"{name} {answer.timings[name]:.2f} s" for name in _STAGES if name in answer.timings)


def show_summary(console: Console, summary: Summary) -> None:
    """The line at a hub's end."""
    fields = {
        "done": summary.done,
        "reused": summary.reused,
        "failed": summary.failed,
        "retried": summary.retried,
        "audio_seconds": round(summary.audio_seconds, 3),
    }
    text = (
        f"{summary.done} done ({summary.reused} reused), {summary.failed} failed, {summary.retried} tried again, "
        f"{clock(summary.audio_seconds)} of audio"
    )
    console.result("summary", fields, text)
