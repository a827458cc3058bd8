"""Runs the commands of a page one after the other, as its reader would, and looks at what comes out.

A page has a *scene*: the files, objects and messages that it takes for granted, and what happens between its commands.
A service is told to stop once it has shown what its page shows, unless what follows needs it.
"""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.acceptance.command import Lfk
from tests.docs.pages import Shown, commands
from tests.docs.shapes import missing

#: Far more than a command of a page takes.
_WITHIN = 120.0
#: A service must show what its page shows within this time; one that shows nothing must last this long.
_SHOWN_WITHIN = 60.0
_LASTS = 1.0

#: Commands that stay until they are told to stop.
_STAYS = re.compile(
    r"\blfk (up|listen|hub(?!.*--exit-when-idle)|chunks gateway)\b|--watch\b|--follow\b|--live\b|lfk web\b"
)


@dataclass
class Scene:
    """What a page takes for granted."""

    prepare: Callable[[Lfk], object] = lambda _lfk: None
    #: What happens before a command that begins so.
    before: Mapping[str, Callable[[Lfk], object]] = field(default_factory=dict)
    #: What stands on the page for something that differs by run, and how it is found out.
    stands_for: Mapping[str, Callable[[Lfk], str]] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    #: Services that what follows needs.
    lingers: tuple[str, ...] = ()
    #: Commands that end with 1, as some items fail.
    some_fail: tuple[str, ...] = ()
    #: Commands that cannot be run here, and the test that runs the like of it.
    elsewhere: Mapping[str, str] = field(default_factory=dict)


def walk(page: str, scene: Scene, lfk: Lfk) -> None:
    """Every command of the page, in its order.

    Raises:
        AssertionError: a command fails, or does not print what the page shows.
    """
    binaries = lfk.folder / ".venv" / "bin"
    binaries.mkdir(parents=True)
    wrapper = binaries / "lfk"
    python, *rest = lfk.argv()
    wrapper.write_text(f'#!/bin/sh\nexec {python} {" ".join(rest)} "$@"\n', encoding="utf-8")
    wrapper.chmod(0o755)
    lfk.environ = {**lfk.environ, **scene.environ, "PATH": f"{binaries}:{lfk.environ['PATH']}"}
    scene.prepare(lfk)
    services: list[tuple[Shown, subprocess.Popen[str], Path]] = []
    try:
        for number, shown in enumerate(commands(page)):
            _step(shown, scene, lfk, services, lfk.folder / f".service-{number}")
    finally:
        for shown, service, log in services:
            _end(shown, service, log)


def _step(
    shown: Shown, scene: Scene, lfk: Lfk, services: list[tuple[Shown, subprocess.Popen[str], Path]], log: Path
) -> None:
    if _first(scene.elsewhere, shown.command) is not None:
        return
    command = shown.command
    for text, find in scene.stands_for.items():
        if text in command:
            command = command.replace(text, find(lfk))
    happens = _first(scene.before, shown.command)
    if happens is not None:
        happens(lfk)
    if _STAYS.search(command):
        services.append((shown, _start(command, lfk, log), log))
        _await(shown, services[-1][1], log)
        if not any(command.startswith(begins) for begins in scene.lingers):
            _end(*services.pop())
        return
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=lfk.folder,
        env=dict(lfk.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_WITHIN,
        check=False,
    )
    allowed = {0, 1} if any(command.startswith(begins) for begins in scene.some_fail) else {0}
    assert done.returncode in allowed, f"{shown}\nended with {done.returncode}:\n{done.stdout}"
    unlike = missing(shown.output, done.stdout)
    assert not unlike, f"{shown}\ndoes not print\n" + "\n".join(unlike) + f"\nbut\n{done.stdout}"


def _first(by_beginning: Mapping[str, object], command: str) -> Any:
    """What stands under the command's beginning; one that ends with ``$`` is the command whole."""
    return next((value for begins, value in by_beginning.items() if f"{command}$".startswith(begins)), None)


def _start(command: str, lfk: Lfk, log: Path) -> subprocess.Popen[str]:
    with log.open("w", encoding="utf-8") as out:
        return subprocess.Popen(
            ["bash", "-c", f"exec {command}" if "&&" not in command else command],
            cwd=lfk.folder,
            env=dict(lfk.environ),
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
        )


def _await(shown: Shown, service: subprocess.Popen[str], log: Path) -> None:
    """Until it has shown what the page shows; where that is nothing, it must last a moment."""
    began = time.monotonic()
    while True:
        printed = log.read_text(encoding="utf-8")
        assert service.poll() is None, f"{shown}\nended with {service.returncode}:\n{printed}"
        waited = time.monotonic() - began
        unlike = missing(shown.output, printed)
        if not unlike and waited >= _LASTS:
            return
        assert waited < _SHOWN_WITHIN, f"{shown}\ndoes not print\n" + "\n".join(unlike) + f"\nbut\n{printed}"
        time.sleep(0.1)


def _end(shown: Shown, service: subprocess.Popen[str], log: Path) -> None:
    service.send_signal(signal.SIGTERM)
    try:
        service.wait(_WITHIN)
    except subprocess.TimeoutExpired:
        service.kill()
        service.wait()
        raise
    assert service.returncode in (0, 1), f"{shown}\nended with {service.returncode}:\n{log.read_text(encoding='utf-8')}"
