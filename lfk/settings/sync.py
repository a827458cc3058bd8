"""Getting recordings in: which, how, and what becomes of them afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from lfk.settings import forms
from lfk.settings.declaring import declare

setting = partial(declare, "sync")


@dataclass(frozen=True, kw_only=True)
class SyncSettings:
    source: str = setting("SOURCE_FOLDER", "", "folder that sync and up read when none is named")
    layout: str = setting(
        "LFK_LAYOUT",
        "approach",
        "how the folder is laid out",
        flag="--layout",
        choices=("approach", "course", "free"),
    )
    prefix: str = setting(
        "LFK_SYNC_PREFIX", "", "put below approach and model, so that machines keep apart", flag="--prefix"
    )
    approach: str = setting("LFK_APPROACH", "", "approach of these references; wins over the path", flag="--approach")
    model: str = setting("LFK_MODEL", "", "model of these references; wins over the path", flag="--model")
    options: Mapping[str, str] = setting("LFK_OPTIONS", {}, "job options k=v, separated by commas", parse=forms.pairs)
    include: tuple[str, ...] = setting(
        "LFK_INCLUDE", (), "only files that match these patterns", parse=forms.words, flag="--include"
    )
    exclude: tuple[str, ...] = setting(
        "LFK_EXCLUDE", (), "no files that match these patterns", parse=forms.words, flag="--exclude"
    )
    transfers: int = setting("LFK_TRANSFERS", 8, "uploads at a time", parse=forms.count, flag="--transfers")
    settle: float = setting(
        "LFK_SETTLE", 1.0, "seconds a file must stay unchanged before it is uploaded", parse=forms.seconds
    )
    extract_audio: bool = setting(
        "LFK_EXTRACT_AUDIO",
        False,
        "send the audio of videos alone, 16 kHz mono; needs lfk[hub]",
        parse=forms.flag,
        flag="--extract-audio",
    )
    extract_format: str = setting(
        "LFK_EXTRACT_FORMAT",
        "flac",
        "form of that audio: flac loses nothing, opus is about a fifth of it",
        flag="--extract-format",
        choices=("flac", "opus"),
    )
    delete_source: bool = setting(
        "LFK_DELETE_SOURCE",
        False,
        "delete each file once its stored copy is verified",
        parse=forms.flag,
        flag="--delete-source",
    )
    move_to: str = setting(
        "LFK_MOVE_TO",
        "",
        "move each file there once its stored copy is verified",
        flag="--move-to",
        metavar="DIR",
    )
    after: str = setting(
        "LFK_AFTER",
        "upload",
        "what must be verified before a source is deleted or moved",
        flag="--after",
        choices=("upload", "transcript"),
    )
    done_marker: bool = setting(
        "LFK_DONE_MARKER",
        False,
        "put a marker (done.txt) beside the recordings once all of them are in the store",
        parse=forms.flag,
        flag="--done-marker",
    )
    watch: bool = setting("LFK_WATCH", False, "go on: upload what appears or changes", parse=forms.flag, flag="--watch")
    watch_by: str = setting(
        "LFK_WATCH_BY",
        "auto",
        "how changes are noticed: scans where the filesystem tells of none",
        choices=("auto", "events", "scans"),
    )
    rescan: float = setting("LFK_RESCAN", 300.0, "seconds between full scans of a watched folder", parse=forms.seconds)
    poll: float = setting("LFK_POLL", 10.0, "seconds between scans where no changes are told", parse=forms.seconds)
    sweep_after: float = setting(
        "LFK_SWEEP_AFTER",
        86400.0,
        "seconds after which an upload that was broken off is removed from the store; 0 means never",
        parse=forms.seconds,
    )
    sync_source: str = setting(
        "LFK_SYNC_SOURCE", "", "who uploads, kept with each object; empty means this machine and folder"
    )
    state_home: str = setting(
        "LFK_STATE_HOME",
        "~/.local/state",
        "lfk/ in it remembers what was sent; may be deleted",
        older=("XDG_STATE_HOME",),
    )
    default_approach: str = setting("LFK_DEFAULT_APPROACH", "simple", "approach of paths that name none")
    default_model: str = setting("LFK_DEFAULT_MODEL", "tiny", "model of paths that name none")
