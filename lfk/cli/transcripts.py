"""Print, download or link what was transcribed, as it was announced.

One pass reads the announcements up to now and commits nothing; --follow goes on with what comes. With --out the files
are kept in a folder that mirrors the transcripts (and --follow keeps its place in a consumer group of its own, so
that it can be stopped and started); with --links each file gets a link that works for a while; with --format alone
only the texts are printed. Where no broker runs, what was transcribed is read from the store.

--exec PROGRAM ARG... (the last of the options) runs a command for each announcement, once, without a shell. In its
arguments {txt} {json} {srt} ... stand for local files of the transcript, {audio} {status} {approach} {model}
{language} {event} {error} for what was announced. Files are absolute paths, so no name can become an option; put --
before other values where the program knows it. A command that fails is run again, --exec-attempts times in all.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lfk.cli.answers import Notes, answer_line
from lfk.cli.console import Console
from lfk.core.errors import ExitCode, LfkError, UsageError
from lfk.core.messages import Announcement
from lfk.core.printable import printable
from lfk.core.received import TranscriptFile
from lfk.core.timecode import clock
from lfk.settings import Settings

#: Longer than any location with its formats; what is longer is not worth a look.
_LINE = 10_000

SETTINGS = (
    "output",
    "follow",
    "start_from",
    "format",
    "filter",
    "links",
    "link_seconds",
    "command_timeout",
    "command_attempts",
    "health",
    "dry_run",
)

LAST_OPTION = ("--exec", "command")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command; the rest are settings."""
    parser.add_argument(
        "--exec",
        dest="command",
        nargs=argparse.REMAINDER,
        default=None,
        metavar="PROGRAM",
        help="run this for each announcement; everything behind it is its arguments [LFK_EXEC]",
    )


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> ExitCode:
    """Read announcements once, or until stopped."""
    if arguments.command == []:
        raise UsageError("--exec (LFK_EXEC) names no program", hint="put the program and its arguments behind --exec")
    from lfk import wiring
    from lfk.cli.signals import stop_on_signal

    screen = _Screen(console, texts=wiring.prints_texts(settings))
    with (
        stop_on_signal() as stop,
        wiring.open_telemetry(settings, "transcripts", serves=settings.follow) as telemetry,
    ):
        store = wiring.open_store(settings)
        with wiring.open_reader(settings, store, screen, stop, telemetry.tracer) as reader:
            wiring.read_announcements(settings, store, reader, stop, telemetry)
    count = reader.count
    ran = f"{count.ran} commands run, " if settings.command else ""
    screen.summary(
        f"{count.done} done, {count.failed} failed, {count.fetched} files fetched, "
        f"{count.unchanged} there already, {ran}{count.problems} problems",
        {
            "done": count.done,
            "failed": count.failed,
            "fetched": count.fetched,
            "unchanged": count.unchanged,
            "ran": count.ran,
            "problems": count.problems,
        },
    )
    if stop.is_set() and not settings.follow:
        return ExitCode.INTERRUPTED
    return ExitCode.SOME_FAILED if count.problems else ExitCode.OK


class _Screen:
    """See :class:`lfk.roles.transcripts.Audience`."""

    def __init__(self, console: Console, *, texts: bool) -> None:
        """``texts``: the texts are the results, so that everything else may be quieted."""
        self._console = console
        self._texts = texts
        self._notes = Notes(console)

    def announced(self, announcement: Announcement) -> None:
        # One line, whatever names with line breaks would make of it.
        line = _one_line(_line(announcement))
        if not self._texts or self._console.as_json or self._console.verbosity > 0:
            self._console.result("transcript", announcement.to_dict(), line)
            self._notes.show(announcement)
        elif announcement.error is not None:
            self._console.warn(line)

    def collected(self, file: TranscriptFile, path: Path, *, changed: bool) -> None:
        fields = {"format": file.form, "location": str(file.location), "path": str(path), "changed": changed}
        self._console.note("file", fields, f"  {'wrote' if changed else 'is there:'} {_one_line(path)}")

    def linked(self, file: TranscriptFile, link: str) -> None:
        fields = {"format": file.form, "location": str(file.location), "link": link}
        self._console.result("link", fields, f"  {_one_line(file.form)}  {_one_line(link)}")

    def read(self, file: TranscriptFile, content: bytes) -> None:
        fields = {"format": file.form, "location": str(file.location)}
        self._console.document("text", fields, content.decode("utf-8", "replace"))

    def ran(self, announcement: Announcement) -> None:
        self._console.note("ran", {"event_id": announcement.event_id}, "  ran the command")

    def problem(self, subject: str, error: LfkError) -> None:
        self._console.error(error, subject)

    def summary(self, text: str, fields: dict[str, int]) -> None:
        """The last line; left out where the output is the texts."""
        if not self._texts:
            self._console.note("summary", fields, text)


def _one_line(text: object) -> str:
    return printable(str(text), _LINE)


def _line(announcement: Announcement) -> str:
    """``done  0:00:25  simple.tiny  audio  files``, or why it failed."""
    if announcement.error is not None:
        return answer_line(announcement)
    length = "-" if announcement.duration is None else clock(announcement.duration)
    how = f"{announcement.transcription_approach}{'  no speech' if announcement.no_speech else ''}"
    return f"{announcement.status}  {length}  {how}  {announcement.path_to_audio}{_where(announcement)}"


def _where(announcement: Announcement) -> str:
    """``  s3://bucket/transcripts/…/x.wav.{txt,srt}``; files that lie elsewhere in full."""
    by_base: dict[str, list[str]] = {}
    for form, location in announcement.files.items():
        suffix = f".{form}"
        if location.endswith(suffix):
            by_base.setdefault(location.removesuffix(suffix), []).append(form)
        else:
            by_base[location] = []
    shown = (f"  {base}.{{{','.join(forms)}}}" if forms else f"  {base}" for base, forms in by_base.items())
    return "".join(shown)
