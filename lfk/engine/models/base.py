"""What the rest of lfk asks about weights, and what a place that supplies them has to do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lfk.core.model_manifest import Entry, Form, Locked, Pin, Source

#: Called with the number of bytes that have just arrived.
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights that have just been verified, and may be loaded from ``path``."""

    #: The model's name in the manifest, e.g. ``whisper/base``.
    name: str
    #: The folder that holds the files.
    path: Path
    #: Its files, each with size and sha256.
    files: Mapping[str, Pin]
    form: Form
    #: Identity by content: equal wherever equal files lie.
    revision: str
    #: Where they lie: ``models folder``, ``package whisperx``, ``lfk``.
    place: str
    #: Where they came from first, e.g. ``Systran/faster-whisper-base``, and its own name for the revision.
    source: str
    source_revision: str | None
    licence: str

    @property
    def size(self) -> int:
        """Bytes on disk: about what they take in memory."""
        return sum(pin.size or 0 for pin in self.files.values())

    @property
    def file(self) -> Path:
        """The file of a model that is one file, and of any other the first by name."""
        return self.path / min(self.files)


class StoreSupplier(Protocol):
    """The models of the store."""

    def names(self) -> Collection[str]:
        """Which models there are.

        Raises:
            StoreUnreachable: the store does not answer.
            ModelInvalid: its lock cannot be understood.
        """

    def fetch(self, entry: Entry, into: Path) -> Locked | None:
        """Put the files of a model into the empty folder ``into``; None if the store does not have it.

        The caller removes ``into`` if anything is raised.

        Returns:
            what has arrived, as the store's lock says it; the hashes are those of the bytes received.

        Raises:
            StoreUnreachable: the store does not answer.
            ModelInvalid: what it holds is not what its lock says.
            ScratchFull: no room.
            OSError: ``into`` cannot be written.
        """


class HubSupplier(Protocol):
    """The model hubs of the network."""

    def fetch(self, entry: Entry, source: Source, known: Locked | None, into: Path) -> Locked:
        """As :meth:`StoreSupplier.fetch`, from one source of the manifest.

        ``known`` is what an earlier fetch recorded, so that the same revision comes again.

        Raises:
            Unreachable: the hub does not answer.
            ModelInvalid: what came is not what the hub itself says it is.
            ModelMissing: the hub refuses to hand it out.
            OSError: ``into`` cannot be written.
        """
