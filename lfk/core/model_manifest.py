"""Which model weights lfk knows, where each may come from, and what its files must be.

The manifest (``models/manifest.json``) travels with lfk; a lock (``models/lock.json``) beside an operator's own
weights adds what nobody could know before: the revision and hashes of the first pull, and files that were adopted.
Parsing refuses every name that could leave its folder, so that names are safe to join to a path or key afterwards.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any

from lfk.core.approaches import KNOWN_MODELS
from lfk.core.errors import ModelInvalid, UnknownModel

FORMAT = 1
#: What the lock is called, in the models folder and below ``<store>/models/`` alike.
LOCK_NAME = "lock.json"
#: A thousand times what a lock with every known model holds.
MAX_LOCK_BYTES = 16 << 20

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}(/[a-z0-9][a-z0-9._-]{0,63})?")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}(/[A-Za-z0-9][A-Za-z0-9._-]{0,127})?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
#: Characters of a digest that name a revision: 64 bits, as commits are abbreviated.
_REVISION_CHARACTERS = 16


class Form(str, Enum):
    """What files of a model are, and with it which code loads them."""

    CTRANSLATE2 = "ctranslate2"
    WAV2VEC2 = "wav2vec2"
    TORCHAUDIO = "torchaudio"
    SEGMENTATION = "segmentation"
    SPEAKER_ENCODER = "speaker-encoder"
    PIPELINE = "pyannote-pipeline"


class Kind(str, Enum):
    """Where a source is: in an installed package, in lfk itself, on the Hugging Face hub, or at an address."""

    PACKAGE = "package"
    SHIPPED = "shipped"
    HUB = "hub"
    ADDRESS = "address"

    @property
    def remote(self) -> bool:
        """Reaching it needs the permission to reach a hub."""
        return self in (Kind.HUB, Kind.ADDRESS)


@dataclass(frozen=True, slots=True)
class Pin:
    """What is known of a file beforehand; None is not known, and recorded when the file first comes."""

    size: int | None = None
    sha256: str | None = None

    def allows(self, size: int, sha256: str) -> bool:
        """Whether such a file may be the one."""
        return self.size in (None, size) and self.sha256 in (None, sha256)


@dataclass(frozen=True, slots=True)
class Source:
    """One place that a model may come from. ``at`` is a package, a path within lfk, a repository or a URL."""

    kind: Kind
    at: str
    form: Form
    #: Version of the package or commit of the repository; None where the first pull decides.
    revision: str | None
    #: Of a hub source without files: whatever of the form its repository holds.
    files: Mapping[str, Pin]
    #: Where in the package the files are.
    folder: str = ""
    #: What installs the package, as ``pip`` writes it.
    requirement: str = ""

    @property
    def pinned(self) -> bool:
        """Every byte of it is known beforehand."""
        return bool(self.files) and all(pin.sha256 for pin in self.files.values())


@dataclass(frozen=True, slots=True)
class Entry:
    """One model that lfk knows."""

    name: str
    title: str
    licence: str
    credits: str
    #: In order of preference; those that need the network count only where it is allowed.
    sources: tuple[Source, ...]
    #: The hub asks for an account that has accepted its terms.
    gated: bool = False

    @property
    def size(self) -> int | None:
        """Bytes of all files, where every one is known."""
        for source in self.sources:
            sizes = [pin.size for pin in source.files.values()]
            known = [size for size in sizes if size is not None]
            if sizes and len(known) == len(sizes):
                return sum(known)
        return None


@dataclass(frozen=True, slots=True)
class Locked:
    """Weights as they are in a folder or store: all of their files, and where they came from.

    ``source`` is the ``at`` of a source, or says that they were adopted.
    """

    source: str
    revision: str | None
    form: Form
    files: Mapping[str, Pin]
    #: Placed by an operator, not by a source of the manifest, whose pins therefore don't apply.
    adopted: bool = False
    licence: str | None = None
    #: How they were changed on arrival (``safetensors``), so that their hashes are not the source's.
    converted: bool = False

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(pin.size or 0 for pin in self.files.values())


@dataclass(frozen=True, slots=True)
class Manifest:
    """Every known model by name."""

    entries: Mapping[str, Entry] = field(default_factory=dict)

    def require(self, name: str) -> Entry:
        """The model of exactly that name.

        Raises:
            UnknownModel: there is none.
        """
        entry = self.entries.get(name)
        if entry is None:
            raise UnknownModel(f"no model is called {name[:80]!r}", hint="see `lfk models list`")
        return entry

    def select(self, wanted: str) -> list[Entry]:
        """What a user means: a name (``whisper/base``), a Whisper model (``base``) or a pattern (``alignment/*``).

        Raises:
            UnknownModel: there is none.
        """
        exact = KNOWN_MODELS.get(wanted, wanted)
        names = [name for name in (wanted, f"whisper/{exact}") if name in self.entries]
        found = names[:1] or [name for name in self.entries if fnmatchcase(name, wanted)]
        return [self.entries[name] for name in found] or [self.require(wanted)]


def content_revision(files: Mapping[str, Pin]) -> str:
    """The identity of weights by their content alone, so that equal files are equal wherever they lie."""
    lines = "".join(f"{name}\0{pin.sha256}\n" for name, pin in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:_REVISION_CHARACTERS]


def parse_manifest(text: str) -> Manifest:
    """Read ``manifest.json``.

    Raises:
        ModelInvalid: it is not of the form, or holds an unsafe name.
    """
    try:
        data = json.loads(text)
        _expect(data["format"] == FORMAT, "the format")
        entries = {_name(name): _entry(name, value) for name, value in data["models"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelInvalid(
            f"the models manifest is not of the known form: {error}", hint="reinstall lfk: its own file is damaged"
        ) from error
    return Manifest(entries)


def parse_lock(text: str) -> dict[str, Locked]:
    """Read a lock.

    Raises:
        ModelInvalid: it is not of the form, or holds an unsafe name.
    """
    try:
        data = json.loads(text)
        _expect(data["format"] == FORMAT, "the format")
        return {_name(name): _locked(value) for name, value in data["models"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelInvalid(
            f"{LOCK_NAME} of the models is not of the known form: {error}",
            hint=f"put a backup of {LOCK_NAME} back; without one, delete it and run `lfk models adopt` or `pull` again",
        ) from error


def render_lock(locked: Mapping[str, Locked]) -> str:
    """The text of a lock; the inverse of :func:`parse_lock`."""
    models = {name: _lock_entry(one) for name, one in sorted(locked.items())}
    return json.dumps({"format": FORMAT, "models": models}, indent=2, ensure_ascii=False) + "\n"


def check_file_name(name: str) -> str:
    """``name`` if it may be a file of a model: ASCII, at most one folder deep, nothing hidden, nothing that climbs.

    Raises:
        ValueError: it may not.
    """
    _expect(_FILE.fullmatch(name) is not None, f"the file name {name[:80]!r}")
    return name


def _entry(name: str, value: Mapping[str, Any]) -> Entry:
    sources = tuple(_source(source) for source in value["sources"])
    _expect(bool(sources), f"the list of sources of {name}")
    title, licence, thanks = (str(value[key]) for key in ("title", "licence", "credits"))
    _expect(bool(title and licence and thanks), f"title, licence or credits of {name}")
    return Entry(name, title, licence, thanks, sources, bool(value.get("gated", False)))


def _source(value: Mapping[str, Any]) -> Source:
    return Source(
        kind=Kind(value["kind"]),
        at=str(value["at"]),
        form=Form(value["form"]),
        revision=_optional_text(value.get("revision")),
        files=_files(value.get("files", {})),
        folder=str(value.get("folder", "")),
        requirement=str(value.get("requirement", "")),
    )


def _locked(value: Mapping[str, Any]) -> Locked:
    files = _files(value["files"])
    _expect(bool(files) and all(pin.sha256 and pin.size is not None for pin in files.values()), "a list of files")
    return Locked(
        source=str(value["source"]),
        revision=_optional_text(value.get("revision")),
        form=Form(value["form"]),
        files=files,
        adopted=bool(value.get("adopted", False)),
        licence=_optional_text(value.get("licence")),
        converted=bool(value.get("converted", False)),
    )


def _lock_entry(one: Locked) -> dict[str, Any]:
    entry: dict[str, Any] = {"source": one.source, "revision": one.revision, "form": one.form.value}
    if one.licence is not None:
        entry["licence"] = one.licence
    entry |= {key: True for key in ("adopted", "converted") if getattr(one, key)}
    entry["files"] = {name: {"size": pin.size, "sha256": pin.sha256} for name, pin in sorted(one.files.items())}
    return entry


def _files(value: Mapping[str, Any]) -> dict[str, Pin]:
    return {check_file_name(name): _pin(pin) for name, pin in value.items()}


def _pin(value: Mapping[str, Any]) -> Pin:
    size, sha256 = value.get("size"), value.get("sha256")
    _expect(size is None or (isinstance(size, int) and size >= 0), f"the size {size!r}")
    _expect(sha256 is None or _SHA256.fullmatch(sha256) is not None, f"the sha256 {sha256!r}")
    return Pin(size, sha256)


def _name(name: str) -> str:
    _expect(_NAME.fullmatch(name) is not None, f"the model name {name[:80]!r}")
    return name


def _optional_text(value: object) -> str | None:
    return None if value is None else str(value)


def _expect(condition: bool, what: str) -> None:
    if not condition:
        raise ValueError(f"{what} cannot be used")
