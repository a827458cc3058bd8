"""Roles where nothing can be written to but /tmp and one folder, without any capability: as containers run them.

That folder is /var/lib/lfk there and /mnt here, as every machine has it. Needs root and a mount namespace of its own,
which no other process sees.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.conftest import ROOT

#: $0 becomes the folder; the rest is the command.
_CONFINE = """
set -e
mount --make-rprivate /
mount --bind "$0" /mnt
mount -o remount,ro,bind /
mount -t tmpfs -o noexec,nosuid,nodev tmpfs /tmp
cd /mnt
exec setpriv --no-new-privs --bounding-set -all --inh-caps -all -- "$@"
"""
#: What the Dockerfile sets.
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/mnt",
    "XDG_CACHE_HOME": "/tmp/cache",
    "LFK_STATE_HOME": "/mnt/state",
    "LFK_MODELS_FOLDER": "/mnt/models",
    "PYTHONPYCACHEPREFIX": "/tmp/pycache",
    "MAIN_NODE_TEMP_FOLDER": "/mnt/scratch",
    "LFK_STORE": "/mnt/store",
    "LFK_ENGINE": "canned",
}


def confined(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["unshare", "--mount", "bash", "-c", _CONFINE, str(folder), *command],
        env=_ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """What becomes the folder."""
    needed = (Path(sys.executable), Path(sys.base_prefix), ROOT)
    if os.geteuid() or any(path.resolve().is_relative_to("/tmp") for path in needed):
        pytest.skip("needs root, and a checkout and a Python outside of /tmp")
    folder = tmp_path / "home"
    folder.mkdir()
    tried = confined(folder, "sh", "-c", "! touch /usr/x 2>/dev/null && touch /tmp/x /mnt/x")
    if tried.returncode:
        pytest.skip(f"no read-only namespace can be made here: {tried.stderr.strip()[-200:]}")
    return folder


def test_roles_write_nowhere_but_where_their_image_lets_them(home: Path) -> None:
    audio = home / "recordings" / "simple" / "tiny" / "x.wav"
    audio.parent.mkdir(parents=True)
    audio.write_bytes(b"no sound, but the canned engine hashes bytes")
    lfk = str(Path(sys.executable).parent / "lfk")
    for arguments in (
        ("sync", "recordings"),
        ("hub", "--workers", "1", "--max-jobs", "1", "--exit-when-idle", "60"),
        ("transcripts", "--out", "out", "--format", "txt"),
    ):
        done = confined(home, lfk, *arguments, "--json")
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        assert all(json.loads(line) for line in done.stdout.splitlines())
    assert (home / "out" / "simple" / "tiny" / "x.wav.txt").is_file()
