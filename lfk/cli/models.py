"""Weights of models: see what is where, fetch, share through the store, take in files of your own, check.

  list [NAME…]     every model, and whether it is ready here, in the store, or at a hub
  pull NAME…       fetch into LFK_MODELS_FOLDER: from the store, else from a hub (HF_HUB_OFFLINE=false; HF_TOKEN where
                   a model asks for an account)
  push NAME…       copy into the store, for every other machine
  adopt [FOLDER]   take in files placed by hand: FOLDER/{whisper,segmentation,embedding,diarization,alignment}, by
                   default LFK_MODELS_FOLDER itself; with --as NAME, FOLDER is that one model
  verify [NAME…]   read every byte of what is here, and compare

NAME is one that `lfk models list` shows, a Whisper model (base), or a pattern ('alignment/*').
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from lfk.cli.console import Console
from lfk.core.errors import ExitCode, LfkError, UsageError
from lfk.core.model_manifest import Entry, Manifest
from lfk.settings import Settings

if TYPE_CHECKING:
    from lfk.engine.models.base import Weights
    from lfk.roles.models import Standing

SETTINGS = ("dry_run",)

_BYTE_UNITS = ("B", "KB", "MB", "GB")


def arguments(parser: argparse.ArgumentParser) -> None:
    """What to do, and with which models."""
    parser.add_argument("action", choices=tuple(_ACTIONS), help="what to do")
    parser.add_argument("what", nargs="*", metavar="NAME", help="models; for adopt, a folder")
    parser.add_argument("--as", dest="as_name", metavar="NAME", help="adopt FOLDER as this model")


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> ExitCode:
    """One action."""
    if arguments.as_name and arguments.action != "adopt":
        raise UsageError("--as belongs to `lfk models adopt FOLDER --as NAME`")
    return _ACTIONS[arguments.action](arguments, settings, console)


def _list(arguments: argparse.Namespace, settings: Settings, console: Console) -> ExitCode:
    from lfk.engine.models.library import own_manifest
    from lfk.roles.models import State, survey
    from lfk.wiring import models as wiring
    from lfk.wiring import open_store

    entries = _entries(own_manifest(), arguments.what)
    stored = {}
    try:
        stored = wiring.stored_models(settings, open_store(settings)).lock()
    except LfkError as error:
        console.warn(f"the store's models are not shown: {error}")
    counts: dict[State, int] = {}
    for standing in survey(wiring.open_library(settings, None), entries, stored):
        counts[standing.state] = counts.get(standing.state, 0) + 1
        _show(console, "model", standing)
    text = ", ".join(f"{count} {state.value}" for state, count in counts.items())
    console.note("summary", {state.name.lower(): count for state, count in counts.items()}, text)
    return ExitCode.SOME_FAILED if counts.get(State.INVALID) else ExitCode.OK


def _verify(arguments: argparse.Namespace, settings: Settings, console: Console) -> ExitCode:
    from lfk.engine.models.library import missing, own_manifest
    from lfk.roles.models import State, survey
    from lfk.wiring import models as wiring

    entries = _entries(own_manifest(), arguments.what)
    verified = failed = 0
    for standing in survey(wiring.open_library(settings, None), entries, {}, fresh=True):
        if standing.weights is not None:
            verified += 1
            _show(console, "verified", standing)
        elif standing.state is State.INVALID or arguments.what:
            failed += 1
            console.error(standing.error or missing(standing.entry, hub_allowed=not settings.hf_offline))
    console.note("summary", {"verified": verified, "failed": failed}, f"{verified} verified, {failed} failed")
    return ExitCode.SOME_FAILED if failed else ExitCode.OK


def _pull(arguments: argparse.Namespace, settings: Settings, console: Console) -> ExitCode:
    from lfk.engine.models.library import own_manifest
    from lfk.wiring import models as wiring
    from lfk.wiring import open_store

    entries = _entries(own_manifest(), _some(arguments))
    failed = False
    with console.progress("fetching") as bar:
        library = wiring.open_library(settings, open_store(settings), lambda size: bar.advance(size=size))
        bar.total(size=sum(entry.size or 0 for entry in entries), count=len(entries))
        for entry in entries:
            try:
                before = library.find(entry.name)
                if settings.dry_run:
                    about = f"would fetch {entry.name}" if before is None else f"{before.name} is here already"
                    console.note("pull", {"name": entry.name, "dry_run": True}, about)
                    continue
                weights = library.resolve(entry.name)
            except LfkError as error:
                failed = True
                console.error(error)
                continue
            bar.advance(count=1)
            fetched = before is None or before.path != weights.path
            _told(console, "pull", weights, fetched=fetched, text="fetched" if fetched else "there already:")
    return ExitCode.SOME_FAILED if failed else ExitCode.OK


def _push(arguments: argparse.Namespace, settings: Settings, console: Console) -> ExitCode:
    from lfk.engine.models.library import missing, own_manifest
    from lfk.roles.models import lock_of
    from lfk.wiring import models as wiring
    from lfk.wiring import open_store

    entries = _entries(own_manifest(), _some(arguments))
    library = wiring.open_library(settings, None)
    failed = False
    with console.progress("pushing") as bar:
        stored = wiring.stored_models(settings, open_store(settings), lambda size: bar.advance(size=size))
        for entry in entries:
            try:
                weights = library.find(entry.name)
                if weights is None:
                    raise missing(entry, hub_allowed=not settings.hf_offline)
                if settings.dry_run:
                    console.note("push", {"name": entry.name, "dry_run": True}, f"would push {entry.name}")
                    continue
                sent = stored.push(weights, lock_of(library, weights))
            except LfkError as error:
                failed = True
                console.error(error)
                continue
            _told(console, "push", weights, pushed=sent, text="pushed" if sent else "there already:")
    return ExitCode.SOME_FAILED if failed else ExitCode.OK


def _adopt(arguments: argparse.Namespace, settings: Settings, console: Console) -> ExitCode:
    from pathlib import Path

    from lfk.engine.models.adopt import Candidate, adopt, candidates
    from lfk.wiring import models as wiring

    if len(arguments.what) > 1:
        raise UsageError("`lfk models adopt` takes one folder at a time")
    library = wiring.open_library(settings, None)
    root = Path(arguments.what[0]).expanduser() if arguments.what else library.folder.root
    if not root.exists():
        raise UsageError(f"there is no folder {root}", hint="name the folder that holds whisper/, segmentation/, …")
    if arguments.as_name:
        (entry,) = library.manifest.select(arguments.as_name)[:1]
        found = [Candidate(root, entry.name)]
    else:
        found = list(candidates(library.manifest, root))
    refused = 0
    for candidate in found:
        try:
            if candidate.refusal is not None:
                raise candidate.refusal
            if settings.dry_run:
                fields = {"name": candidate.name, "path": str(candidate.path), "dry_run": True}
                console.note("adopt", fields, f"would look into {candidate.path} as {candidate.name}")
                continue
            weights = adopt(library, candidate.name, candidate.path)
        except LfkError as error:
            refused += 1
            console.error(error)
            continue
        _told(console, "adopt", weights, path=str(weights.path), text=f"adopted {candidate.path} as")
    fields = {"found": len(found), "refused": refused, "dry_run": settings.dry_run}
    console.note("summary", fields, f"{len(found)} found in {root}, {refused} refused")
    return ExitCode.SOME_FAILED if refused else ExitCode.OK


def _told(console: Console, kind: str, weights: Weights, *, text: str, **fields: object) -> None:
    about = {
        "name": weights.name,
        "revision": weights.revision,
        "source": weights.source,
        "source_revision": weights.source_revision,
        "licence": weights.licence,
        "size": weights.size,
    }
    line = f"{text} {weights.name} ({_size(weights.size)}, {weights.place}, revision {weights.revision})"
    console.note(kind, {**about, **fields}, line)


def _some(arguments: argparse.Namespace) -> list[str]:
    if not arguments.what:
        raise UsageError(f"say which models to {arguments.action}", hint="see `lfk models list`; '*' means all")
    names: list[str] = arguments.what
    return names


def _show(console: Console, kind: str, standing: Standing) -> None:
    entry, weights = standing.entry, standing.weights
    where = weights.place if weights else ""
    fields = {
        "name": entry.name,
        "state": standing.state.name.lower(),
        "place": where or None,
        "path": str(weights.path) if weights else None,
        "source": weights.source if weights else entry.sources[0].at,
        "revision": weights.revision if weights else None,
        "size": standing.size,
        "licence": weights.licence if weights else entry.licence,
        "credits": entry.credits,
        "gated": entry.gated,
        "error": standing.error.message if standing.error else None,
    }
    about = f"{standing.state.value}{f' ({where})' if where else ''}"
    text = f"{entry.name:24} {about:38} {_size(standing.size):>8}  {entry.title}"
    console.result(kind, fields, text)
    if standing.error is not None and kind == "model":
        console.error(standing.error)


def _entries(manifest: Manifest, wanted: list[str]) -> list[Entry]:
    if not wanted:
        return list(manifest.entries.values())
    found = {entry.name: entry for name in wanted for entry in manifest.select(name)}
    return list(found.values())


def _size(size: int | None) -> str:
    if size is None:
        return "?"
    value, unit = float(size), 0
    while value >= 1000 and unit < len(_BYTE_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.0f} {_BYTE_UNITS[unit]}" if value >= 10 or not unit else f"{value:.1f} {_BYTE_UNITS[unit]}"


_ACTIONS: Mapping[str, Callable[[argparse.Namespace, Settings, Console], ExitCode]] = {
    "list": _list,
    "pull": _pull,
    "push": _push,
    "adopt": _adopt,
    "verify": _verify,
}
