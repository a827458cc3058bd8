"""The systemd units: taken by systemd's own checks, and held against lfk's settings and parser."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.deploy.conftest import ROOT
from tests.deploy.declared import check_command, check_values

FOLDER = ROOT / "deploy" / "systemd"
SHARED = "lfk-.service.d/shared.conf"
UNITS = sorted(path.name for path in FOLDER.glob("*.service"))
#: `systemd-analyze security` calls up to 2.0 OK; what runs with nothing of this has 9.6.
_EXPOSURE = 15


def lines(unit: str) -> list[tuple[str, str]]:
    """Its assignments and those that all share, which systemd reads after it."""
    text = "".join((FOLDER / name).read_text(encoding="utf-8") for name in (unit, SHARED))
    return re.findall(r"^([A-Za-z]+)=(.*)$", text, re.MULTILINE)


def last(unit: str) -> Mapping[str, str]:
    """The last assignment of each name."""
    return dict(lines(unit))


@pytest.fixture(scope="module")
def units(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The units as they lie on a machine, instances made, with lfk where it is here."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze (Debian's systemd) is not on the PATH")
    folder = tmp_path_factory.mktemp("units")
    lfk = str(Path(sys.executable).parent / "lfk")
    shutil.copytree(FOLDER / "lfk-.service.d", folder / "lfk-.service.d")
    for path in (*FOLDER.glob("*.service"), FOLDER / "lfk.target"):
        text = path.read_text(encoding="utf-8").replace("/opt/lfk/bin/lfk", lfk)
        (folder / path.name.replace("@", "@1")).write_text(text, encoding="utf-8")
    return folder


def analyze(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_systemd_takes_every_unit(units: Path) -> None:
    done = analyze("verify", *(f"./{path.name}" for path in units.iterdir() if path.is_file()), folder=units)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS)
def test_every_unit_is_shut_in(unit: str, units: Path) -> None:
    path = f"./{unit.replace('@', '@1')}"
    done = analyze("security", "--offline=true", f"--threshold={_EXPOSURE}", path, folder=units)
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize("unit", UNITS)
def test_every_command_parses_and_every_name_is_a_setting(unit: str) -> None:
    program, *command = shlex.split(last(unit)["ExecStart"])
    assert program == "/opt/lfk/bin/lfk"
    check_command(command)
    assigned = [word for name, value in lines(unit) if name == "Environment" for word in shlex.split(value)]
    check_values(dict(word.split("=", 1) for word in assigned))


@pytest.mark.parametrize("unit", ["lfk-hub@.service", "lfk-up.service"])
def test_stopping_a_hub_leaves_its_engines_to_it(unit: str) -> None:
    settings = last(unit)
    assert settings["KillMode"] == "mixed", "SIGTERM to every process would end the jobs that are to be finished"
    (grace,) = re.findall(r"LFK_GRACE=(\d+)", (FOLDER / unit).read_text(encoding="utf-8"))
    assert int(settings["TimeoutStopSec"]) > int(grace)
    assert settings["OOMPolicy"] == "continue"


def test_folders_that_units_write_to_are_made(units: Path) -> None:
    made = re.findall(r"^d (\S+)", (FOLDER / "lfk.tmpfiles").read_text(encoding="utf-8"), re.MULTILINE)
    for unit in UNITS:
        for path in (value.lstrip("-") for name, value in lines(unit) if name == "ReadWritePaths"):
            assert path in made
        assert last(unit)["StateDirectory"] == "lfk"
