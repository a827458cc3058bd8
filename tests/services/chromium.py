"""The browser of the page tests: Debian's chromium, installed where that can be done, else whatever is there.

Unlike the servers it is no program that a test run could keep for itself: it needs libraries of the system. So it is
installed as a package, which takes apt-get and root.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from tests.services.programs import FETCH_WITHIN, MissingError

_NAMES = ("chromium", "chromium-browser", "google-chrome")
HOW = "needs Chromium (Debian package chromium; `make services` installs it where it is root and apt-get is there)"


def find_chromium() -> str | None:
    """The browser's path, if there is one."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


def can_install() -> bool:
    """Whether this process may install packages."""
    return shutil.which("apt-get") is not None and os.geteuid() == 0


def install() -> bool:
    """Install it unless it is there; whether that had to be done.

    Raises:
        MissingError: it cannot be done here.
    """
    if find_chromium() is not None:
        return False
    if not can_install():
        raise MissingError(HOW)
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
        done = subprocess.run(
            ["apt-get", "-qq", *arguments],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=FETCH_WITHIN,
            check=False,
        )
        if done.returncode:
            raise MissingError(f"apt-get {arguments[0]} failed:\n{(done.stdout + done.stderr)[-2000:]}")
    if find_chromium() is None:
        raise MissingError("the package chromium brings no browser of that name")
    return True
