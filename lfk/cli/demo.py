"""The whole pipeline in one process tree: folder, store, references, hub, transcripts. Needs nothing else.

Takes the bundled speech, or the audio and video files that you name; copies them into DIR/recordings, keeps
everything else in DIR/store, and shows each transcript. All parts are those of production: an embedded broker
stands in for Kafka and a folder for S3.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
import threading
import time
from pathlib import Path

from lfk.cli.console import Console
from lfk.core.errors import ExitCode, LfkError
from lfk.core.messages import Announcement
from lfk.core.received import TranscriptFile
from lfk.settings import Settings

SETTINGS = ("demo_folder", "approach", "model", "workers", "threads", "device")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The user's own audio."""
    parser.add_argument("files", nargs="*", metavar="AUDIO", help="your own files instead of the bundled speech")


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> ExitCode:
    """Lay out, sync, transcribe, show."""
    from lfk import wiring
    from lfk.roles.demo import lay_out

    folder = Path(settings.demo_folder).absolute()
    with tempfile.TemporaryDirectory(prefix="lfk-demo-") as memory:
        request = wiring.request(settings)
        defaults = request.completed(wiring.roots(settings))
        laid_out = lay_out(
            folder / "recordings", arguments.files, request.approach, defaults.model, settings.default_approach
        )
        console.say(f"recordings   {len(laid_out)} in {folder / 'recordings'}")
        return _run(_demo_settings(settings, folder, memory), folder, laid_out, console)


def _run(settings: Settings, folder: Path, laid_out: list[str], console: Console) -> ExitCode:
    from lfk import wiring
    from lfk.cli.answers import stage_times
    from lfk.cli.signals import stop_on_signal

    where = wiring.roots(settings)
    began = time.monotonic()
    with stop_on_signal() as stop, wiring.open_telemetry(settings, "demo") as telemetry:
        store = wiring.open_store(settings)
        waiting = {str(where.audio.join(path)) for path in laid_out}
        answered: dict[str, Announcement] = {}

        def note(answer: Announcement) -> None:
            if answer.path_to_audio in waiting:
                answered[answer.path_to_audio] = answer
                console.say(f"hub          {_hub_line(answer, stage_times(answer))}")
            if len(answered) == len(waiting):
                stop.set()

        with (
            wiring.running_broker(settings, store) as broker,
            wiring.open_hub(settings, store, broker, stop, note, telemetry) as hub,
        ):
            console.say(f"broker       embedded, at {broker.address}; store {wiring.store_root(settings)}")
            _sync(settings, folder, console)
            hub.run()
            if len(answered) < len(waiting):
                return ExitCode.INTERRUPTED
            showing = threading.Event()
            with wiring.open_reader(settings, store, _Show(console), showing) as reader:
                codec = wiring.codec(settings)
                for record in broker.snapshot(settings.topic_transcripts):
                    announcement = codec.decode_announcement(record.value)
                    if announcement.path_to_audio in waiting:
                        reader.announcement(announcement)
    failed = sum(answer.status == "failed" for answer in answered.values())
    seconds = time.monotonic() - began
    console.result(
        "summary",
        {"done": len(answered) - failed, "failed": failed, "seconds": round(seconds, 2), "dir": str(folder)},
        f"\n{len(answered) - failed} done, {failed} failed, {seconds:.1f} s in all, loading the engines included",
    )
    pages = [answer.files["html"] for answer in answered.values() if "html" in answer.files]
    console.say(_what_next(pages))
    return ExitCode.SOME_FAILED if failed else ExitCode.OK


def _demo_settings(settings: Settings, folder: Path, memory: str) -> Settings:
    """The user's engine settings, with every place inside the demo's folder and no broker but the embedded one.

    What sync remembers goes to ``memory``, new each time, so that a second demo asks for everything again.
    """
    return dataclasses.replace(
        settings,
        store=str(folder / "store"),
        audio="",
        transcripts="",
        video_bucket="",
        transcript_bucket="",
        transcriptions_folder="",
        allowed=(),
        bootstrap="",
        kafka={},
        state_home=memory,
        source=str(folder / "recordings"),
        layout="approach",
        prefix="",
        approach="",
        model="",
        include=(),
        exclude=(),
        format=("txt",),
        output="",
        links=False,
        follow=False,
        start_from="",
        max_jobs=0,
        exit_when_idle=0.0,
        dry_run=False,
    )


def _sync(settings: Settings, folder: Path, console: Console) -> None:
    """Upload and send references, as `lfk sync` does."""
    from lfk import wiring
    from lfk.cli.sync_display import SyncDisplay

    stop = threading.Event()
    job = wiring.sync_job(settings, str(folder / "recordings"))
    store = wiring.open_store(settings)
    with console.progress("syncing") as bar:
        display = SyncDisplay(console, bar, dry_run=False)
        with wiring.open_sync(settings, job, store, display, stop) as sync:
            summary = sync.run()
    console.say(f"sync         {sum(summary.counts.values())} files, {summary.size / 1e6:.1f} MB")


def _hub_line(answer: Announcement, times: str) -> str:
    from lfk.core.timecode import clock

    name = (answer.path_to_audio or "").rpartition("/")[2]
    if answer.error is not None:
        return f"{name}: {answer.error.message} [{answer.error.code}]"
    length = clock(answer.duration) if answer.duration is not None else "?"
    return f"{name}, {length} of audio: {'was there already' if answer.reused else times}"


class _Show:
    """Prints each transcript, and where its files are."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def announced(self, announcement: Announcement) -> None:
        """A heading with the places of all files."""
        if self._console.as_json:
            self._console.note("transcript", announcement.to_dict(), "")
            return
        name = (announcement.path_to_audio or "").rpartition("/")[2]
        self._console.say(f"\n── {name}  ({announcement.transcription_approach}) " + "─" * 30)
        for warning in announcement.warnings:
            self._console.say(f"note: {warning}")
        if announcement.path_to_transcript:
            stem = announcement.path_to_transcript.removesuffix(".json").removeprefix("file://")
            self._console.say(f"files: {stem}.{{{','.join(announcement.files)}}}")

    def collected(self, file: TranscriptFile, path: Path, *, changed: bool) -> None:
        """The demo collects nothing: the store is on this disk."""

    def linked(self, file: TranscriptFile, link: str) -> None:
        """The demo makes no links."""

    def read(self, file: TranscriptFile, content: bytes) -> None:
        """The text itself."""
        self._console.say("\n" + content.decode("utf-8", "replace").rstrip())

    def ran(self, announcement: Announcement) -> None:
        """The demo runs no command."""

    def problem(self, subject: str, error: LfkError) -> None:
        """Something that could not be shown."""
        self._console.error(error, subject)


def _what_next(pages: list[str]) -> str:
    # As it was called: `make demo` runs the command of the project's own environment, which is not on the PATH.
    lfk = sys.argv[0] if Path(sys.argv[0]).name == "lfk" else "lfk"
    tips = [
        (f"{lfk} demo my.mp3 talk.mp4", "your own files"),
        (f"{lfk} up recordings/", "a service: drop a file, get the transcript"),
        (f"{lfk} doctor", "what a real set-up (Kafka, S3) still needs"),
    ]
    width = max(len(command) for command, _use in tips)
    lines = ["", "what next:", *(f"  {command:{width}}  {use}" for command, use in tips)]
    if pages:
        lines.append(f"  click a word, hear it, in {pages[-1].removeprefix('file://')}")
    return "\n".join(lines)
