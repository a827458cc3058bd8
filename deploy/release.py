"""What a release consists of: builds it, checks it, and says what would be tagged and pushed.

python deploy/release.py             everything but the tag
python deploy/release.py --preview   the same between releases, when the changelog still has unreleased lines
python deploy/release.py --tag v1.2  tags and pushes, if all is well and that is the version's tag

`make release` is the first, `make release RELEASE=v1.2` the last. The tag starts .github/workflows/release.yml, which
builds and publishes; nothing is ever published from here.
"""

from __future__ import annotations

import argparse
import email
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: What has to be in a source distribution for others to build and check it.
_SOURCES = ("pyproject.toml", "README.md", "LICENSE", "NOTICE", "CHANGELOG.md", "lfk/__init__.py", "schemas", "models")
_EXTRAS = {"hub", "tiny-en", "avro", "web", "otel", "diarisation"}
_VERSION = re.compile(r"\d+\.\d+\.\d+((a|b|rc)\d+)?")


class Unfit(Exception):
    """Something about the release is not as it has to be. The message says what, and what to do."""


@dataclass(frozen=True)
class Release:
    """One version and where it is built."""

    version: str
    root: Path
    dist: Path

    @property
    def tag(self) -> str:
        return f"v{self.version}"

    @property
    def wheel(self) -> Path:
        return self.dist / f"lfk-{self.version}-py3-none-any.whl"

    @property
    def sources(self) -> Path:
        return self.dist / f"lfk-{self.version}.tar.gz"


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where everything is well, else 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preview", action="store_true")
    parser.add_argument("--tag", metavar="TAG")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    parser.add_argument("--dist", type=Path, help=argparse.SUPPRESS)
    parsed = parser.parse_args(arguments)
    root = parsed.root.resolve()
    release = Release(read_version(root), root, (parsed.dist or root / "dist").resolve())
    checks = [check_version, build, check_wheel, check_sources, check_installed]
    if not parsed.preview:
        checks[1:1] = [check_changelog, check_tree]
    failed = 0
    for check in checks:
        try:
            print(f"ok    {check(release)}", flush=True)
        except Unfit as error:
            failed += 1
            print(f"FAIL  {error}", flush=True)
            if check is build:
                break
    if failed:
        print(f"{failed} of {len(checks)} checks failed; nothing was tagged")
        return 1
    return finish(release, parsed.tag, preview=parsed.preview)


def read_version(root: Path) -> str:
    """lfk's own version, without importing it."""
    text = (root / "lfk" / "__init__.py").read_text(encoding="utf-8")
    (version,) = re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    return str(version)


def check_version(release: Release) -> str:
    """The version has a form that tags and packages have, and the chart has it too."""
    if not _VERSION.fullmatch(release.version):
        raise Unfit(f"lfk/__init__.py: {release.version!r} is no version such as 1.2.0 or 1.2.0rc1")
    chart = (release.root / "deploy" / "helm" / "lfk" / "Chart.yaml").read_text(encoding="utf-8")
    given = set(re.findall(r'^(?:version|appVersion): "?([^"\n]+)"?$', chart, re.MULTILINE))
    if given != {release.version}:
        raise Unfit(f"Chart.yaml has {', '.join(sorted(given))}: write {release.version} there, twice")
    return f"version {release.version}, the chart's too"


def check_changelog(release: Release) -> str:
    """The changelog's first release is this one, with a date, and nothing is left as unreleased."""
    text = (release.root / "CHANGELOG.md").read_text(encoding="utf-8")
    parts = re.split(r"^## \[", text, flags=re.MULTILINE)[1:]
    sections = {part.partition("]")[0]: part.partition("]")[2] for part in parts}
    unreleased = [line for line in sections.pop("Unreleased", "").splitlines() if line.startswith("- ")]
    if unreleased:
        raise Unfit(
            f"CHANGELOG.md: [Unreleased] has {len(unreleased)} lines: move them below "
            f"'## [{release.version}] - YYYY-MM-DD', and raise the version if that one is out already"
        )
    first = next(iter(sections), "")
    if first != release.version or not re.match(r" - \d{4}-\d{2}-\d{2}\n", sections[first]):
        raise Unfit(f"CHANGELOG.md: the first release is {first!r}, not '[{release.version}] - YYYY-MM-DD'")
    return f"CHANGELOG.md begins with {release.version}"


def check_tree(release: Release) -> str:
    """What would be tagged is committed, and its tag is free."""
    changed = _git(release, "status", "--porcelain")
    if changed:
        raise Unfit(f"{len(changed.splitlines())} files are not committed: {changed.splitlines()[0].strip()} …")
    if _git(release, "tag", "--list", release.tag):
        raise Unfit(f"there is a tag {release.tag} already: raise the version in lfk/__init__.py")
    return f"everything is committed, and {release.tag} is free"


def build(release: Release) -> str:
    """Wheel and sources, from locked tools, with nothing fetched."""
    for old in (release.wheel, release.sources):
        old.unlink(missing_ok=True)
    # The commit's time, so that the same commit gives the same files.
    stamp = _git(release, "log", "-1", "--format=%ct")
    common = (
        "--quiet",
        "--no-build-isolation",
        "--offline",
        "--python",
        sys.executable,
        "--out-dir",
        str(release.dist),
    )
    _uv("build", "--sdist", "--wheel", *common, str(release.root), stamp=stamp)
    for made in (release.wheel, release.sources):
        if not made.is_file():
            raise Unfit(f"the build has made no {made.name}")
    sizes = ", ".join(f"{made.name} {made.stat().st_size / 1e6:.1f} MB" for made in (release.wheel, release.sources))
    return f"built {sizes}"


def check_wheel(release: Release) -> str:
    """Its metadata says what a registry and an installer have to know."""
    with zipfile.ZipFile(release.wheel) as archive:
        names = archive.namelist()
        told = f"lfk-{release.version}.dist-info"
        metadata = email.message_from_bytes(archive.read(f"{told}/METADATA"))
        entry = archive.read(f"{told}/entry_points.txt").decode()
    faults = [*_faults(metadata, release), *(name for name in names if name.startswith(("tests/", "docs/", "deploy/")))]
    if "lfk = lfk.cli.main:main" not in entry:
        faults.append("no command lfk")
    needed = ("lfk/_data/schemas/", "lfk/_data/models/manifest.json", f"{told}/licenses/LICENSE")
    faults += [f"no {name}" for name in needed if not any(entry.startswith(name) for entry in names)]
    if faults:
        raise Unfit(f"{release.wheel.name}: {'; '.join(faults)}")
    return f"its metadata: {metadata['Requires-Python']}, {metadata['License-Expression']}, {len(names)} files"


def _faults(metadata: Message, release: Release) -> Iterator[str]:
    wanted = {"Name": "lfk", "Version": release.version, "Description-Content-Type": "text/markdown"}
    for name, value in wanted.items():
        if metadata[name] != value:
            yield f"{name} is {metadata[name]!r}"
    if set(metadata.get_all("Provides-Extra", ())) != _EXTRAS:
        yield f"extras are {metadata.get_all('Provides-Extra')}"
    yield from (f"{need} is no release" for need in metadata.get_all("Requires-Dist", ()) if " @ " in need)


def check_sources(release: Release) -> str:
    """Others can build from them, and find in them what the wheel was built from."""
    with tarfile.open(release.sources) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    missing = [name for name in _SOURCES if not any(f"{entry}/".startswith(f"{name}/") for entry in names)]
    private = [name for name in names if Path(name).name == ".env" or "/secrets/" in name]
    if missing or private:
        raise Unfit(f"{release.sources.name}: lacks {missing}, and should not have {private}")
    return f"its sources: {len(names)} files"


def check_installed(release: Release) -> str:
    """The wheel in an environment of its own, in the locked versions, starts and says its version."""
    with tempfile.TemporaryDirectory() as folder:
        venv = Path(folder) / "venv"
        _uv("venv", "--quiet", "--python", sys.executable, str(venv))
        locked = ("--no-build", "--constraint", str(release.root / "requirements" / "thin.txt"))
        _uv("pip", "install", "--quiet", "--python", str(venv), *locked, str(release.wheel))
        done = _run([str(venv / "bin" / "lfk"), "--version"], Path(folder), {"PATH": os.environ["PATH"]})
    if done.strip() != f"lfk {release.version}":
        raise Unfit(f"the installed command says {done.strip()!r}")
    return f"installed, it says {done.strip()!r}"


def finish(release: Release, tag: str | None, *, preview: bool) -> int:
    """Tag and push where that was asked for; else say what would be."""
    steps = (("tag", "--annotate", release.tag, "--message", f"lfk {release.version}"), ("push", "origin", release.tag))
    if tag is None or preview:
        print(f"nothing was tagged. `make release RELEASE={release.tag}` would run:")
        for step in steps:
            print(f"  git {' '.join(part if ' ' not in part else repr(part) for part in step)}")
        print("and the tag would have .github/workflows/release.yml publish wheel, sources, images and chart")
        return 0
    if tag != release.tag:
        print(f"FAIL  the version's tag is {release.tag}, not {tag}; nothing was tagged")
        return 1
    for step in steps:
        _git(release, *step)
    print(f"tagged and pushed {release.tag}")
    return 0


def _git(release: Release, *arguments: str) -> str:
    return _run(["git", *arguments], release.root, dict(os.environ)).strip()


def _uv(*arguments: str, stamp: str = "") -> str:
    environ = {**os.environ, **({"SOURCE_DATE_EPOCH": stamp} if stamp else {})}
    if not (environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL")):
        index = _run(["sh", str(ROOT / "requirements" / "index"), sys.executable], ROOT, environ).strip()
        environ |= {"UV_DEFAULT_INDEX": index} if index else {}
    return _run([str(Path(sys.executable).parent / "uv"), *arguments], ROOT, environ)


def _run(command: Sequence[str], folder: Path, environ: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise Unfit(f"{Path(command[0]).name} {command[1]}: {(done.stderr or done.stdout).strip()[-1000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
