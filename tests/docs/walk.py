"""Runs the commands of a page one after the other, as its reader would, and looks at what comes out.

A page has a *scene*: the files, objects and messages that it takes for granted, and what happens between its commands.
A service is told to stop once it has shown what its page shows, unless what follows needs it; where the page then shows
its screen again, it must show that in time.

Where prompts name machines, each has a folder and an environment of its own, which is also its home.
"""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
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
    #: What is there for as long as the page is walked.
    around: Callable[[Lfk], AbstractContextManager[object]] = lambda _lfk: nullcontext()
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


@dataclass(frozen=True)
class _Service:
    """A command that stays, and where what it prints goes."""

    shown: Shown
    process: subprocess.Popen[str]
    log: Path


def walk(page: str, scene: Scene, lfk: Lfk) -> None:
    """Every command of the page, in its order.

    Raises:
        AssertionError: a command fails, or does not print what the page shows.
    """
    lfk.environ = {**lfk.environ, **scene.environ}
    machines = {"": lfk}
    _install(lfk)
    services: list[_Service] = []
    with scene.around(lfk):
        scene.prepare(lfk)
        try:
            for number, shown in enumerate(commands(page)):
                if shown.machine not in machines:
                    machines[shown.machine] = _machine(shown.machine, lfk)
                _step(shown, scene, machines, services, lfk.folder / f".service-{number}")
        finally:
            for service in services:
                _end(service)


def _machine(name: str, lfk: Lfk) -> Lfk:
    """One that shares nothing with the others but what the scene gives to all."""
    folder = lfk.folder / name
    folder.mkdir(exist_ok=True)
    # What an installation or a cache left elsewhere must not come from another machine.
    machine = Lfk(folder, **{**lfk.environ, "HOME": str(folder), "XDG_STATE_HOME": str(folder / ".local" / "state")})
    _install(machine)
    return machine


def _install(lfk: Lfk) -> None:
    """``lfk`` is the command on that machine, as it is after the page's installation."""
    binaries = lfk.folder / ".venv" / "bin"
    binaries.mkdir(parents=True)
    wrapper = binaries / "lfk"
    python, *rest = lfk.argv()
    wrapper.write_text(f'#!/bin/sh\nexec {python} {" ".join(rest)} "$@"\n', encoding="utf-8")
    wrapper.chmod(0o755)
    lfk.environ = {**lfk.environ, "PATH": f"{binaries}:{lfk.environ['PATH']}"}


def _step(shown: Shown, scene: Scene, machines: Mapping[str, Lfk], services: list[_Service], log: Path) -> None:
    if _first(scene.elsewhere, shown.command) is not None:
        return
    lfk = machines[shown.machine]
    runs = [one for one in services if (one.shown.machine, one.shown.command) == (shown.machine, shown.command)]
    if runs:
        _await(shown, runs[0], lasts=0.0)
        return
    command = shown.command
    for text, find in scene.stands_for.items():
        if text in command:
            command = command.replace(text, find(lfk))
    happens = _first(scene.before, shown.command)
    if happens is not None:
        happens(lfk)
    if _STAYS.search(command):
        services.append(_Service(shown, _start(command, lfk, log), log))
        _await(shown, services[-1])
        if not any(command.startswith(begins) for begins in scene.lingers):
            _end(services.pop())
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


def _await(shown: Shown, service: _Service, lasts: float = _LASTS) -> None:
    """Until it has shown what the page shows and has lasted for so many seconds, should it show nothing."""
    began = time.monotonic()
    while True:
        printed = service.log.read_text(encoding="utf-8")
        code = service.process.poll()
        assert code is None, f"{shown}\nended with {code}:\n{printed}"
        waited = time.monotonic() - began
        unlike = missing(shown.output, printed)
        if not unlike and waited >= lasts:
            return
        assert waited < _SHOWN_WITHIN, f"{shown}\ndoes not print\n" + "\n".join(unlike) + f"\nbut\n{printed}"
        time.sleep(0.1)


def _end(service: _Service) -> None:
    service.process.send_signal(signal.SIGTERM)
    try:
        code = service.process.wait(_WITHIN)
    except subprocess.TimeoutExpired:
        service.process.kill()
        service.process.wait()
        raise
    assert code in (0, 1), f"{service.shown}\nended with {code}:\n{service.log.read_text(encoding='utf-8')}"
