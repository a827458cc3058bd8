"""What is to be forgotten: one audio, or all below a prefix; and what text names it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lfk.core.addressing import Roots, resolve
from lfk.core.approaches import APPROACHES, KNOWN_MODELS
from lfk.core.errors import InvalidLocation, RejectedReference
from lfk.core.location import Location, has_scheme


@dataclass(frozen=True, slots=True)
class Target:
    """See the module. ``at`` is the audio's location or, where its key is empty or ends in ``/``, a prefix."""

    at: Location
    #: The path below approach and model, as transcript keys have it; empty for all of a prefix.
    rest: str

    @property
    def is_prefix(self) -> bool:
        """More than one audio may be meant."""
        return not self.at.key or self.at.key.endswith("/")

    def means(self, audio: str) -> bool:
        """Whether the text of a location is that of audio that is meant."""
        return audio.startswith(str(self.at)) if self.is_prefix else audio == str(self.at)

    def keys(self, roots: Roots) -> list[str]:
        """What the keys of its transcripts begin with, under every approach and model that there ever was."""
        models = sorted({*KNOWN_MODELS, *roots.catalogue.served_by})
        # One audio's files are `<key>.<format>`; where another audio owns the key, `<stem>~<digest>.<suffix>.<format>`.
        folder, slash, name = self.rest.rpartition("/")
        lead = self.rest if self.is_prefix else f"{folder}{slash}{name.rpartition('.')[0] or name}"
        return [f"{approach}/{model}/{lead}" for approach in APPROACHES for model in models]


def targets(name: str, roots: Roots) -> list[Target]:
    """Where ``name`` may lead: a relative path whose leading ``sources`` is dropped leads to two places.

    Raises:
        RejectedReference: it leads nowhere that is lfk's, or to all audio without saying so.
    """
    is_prefix = name.endswith("/")
    address = resolve(f"{name}x" if is_prefix else name, None, roots)
    if is_prefix and not has_scheme(name) and address.rest == "x" and address.location == roots.audio.join("x"):
        # `sources/` and the name of SOURCE_FOLDER are dropped where they lead a path, which leaves nothing here.
        raise InvalidLocation(
            f"{name[:200]!r} means all audio there is",
            hint=f"name the part that is meant; where it is all, name {roots.audio.as_prefix()}",
        )
    found = []
    for location in (address.location, address.fallback):
        if location is None:
            continue
        if roots.is_ours(location):
            raise InvalidLocation(
                f"{location} is a transcript or a record of lfk, not audio",
                hint="name the audio: its transcripts and records go with it",
            )
        cut = 1 if is_prefix else 0
        at = Location(location.scheme, location.bucket, location.key[: len(location.key) - cut])
        found.append(Target(at, address.rest[: len(address.rest) - cut]))
    return found


def means_path(path: str, pair: str | None, wanted: Sequence[Target], roots: Roots) -> bool:
    """Whether a ``path_to_audio``, as a message or key has it, leads to what is meant."""
    try:
        address = resolve(path, pair, roots)
    except RejectedReference:
        return mentions(path, wanted, roots.audio)
    places = (address.location, address.fallback)
    return any(target.means(str(at)) for target in wanted for at in places if at is not None)


def mentions(text: str, wanted: Sequence[Target], audio_root: Location) -> bool:
    """Whether a text of another kind (a message, a list) holds the location or the relative path of what is meant."""
    for target in wanted:
        names = [str(target.at)]
        if audio_root.contains(target.at) and (relative := audio_root.relative(target.at)):
            names.append(relative)
        if any(name in text for name in names):
            return True
    return False
