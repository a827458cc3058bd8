"""The browser of the page tests: taken where it is, installed where that can be done, missed aloud elsewhere."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.services import chromium
from tests.services.programs import MissingError


def program(folder: Path, name: str, script: str = "exit 0") -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All the programs that there are, run as root."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return tmp_path


def test_what_is_there_is_not_installed(there: Path) -> None:
    program(there, "google-chrome")
    program(there, "apt-get", "exit 1")
    assert chromium.install() is False
    assert chromium.find_chromium() == str(there / "google-chrome")


def test_it_is_installed_by_root_with_apt_get(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingError, match="needs Chromium"):
        chromium.install()
    installed = f'echo "$@" >> {there}/log; : > {there}/chromium; /bin/chmod +x {there}/chromium'
    program(there, "apt-get", installed)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(MissingError, match="needs Chromium"):
        chromium.install()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert chromium.install() is True
    assert (there / "log").read_text().splitlines()[-1] == "-qq install -y --no-install-recommends chromium"


def test_what_apt_get_says_is_told(there: Path) -> None:
    program(there, "apt-get", "echo no network; exit 100")
    with pytest.raises(MissingError, match=r"apt-get update failed:\nno network"):
        chromium.install()
    program(there, "apt-get")
    with pytest.raises(MissingError, match="no browser of that name"):
        chromium.install()
