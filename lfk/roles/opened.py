"""One transcript opened from its manifest alone: enough to render any format of it, with names for its speakers."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from lfk.core.addressing import AudioAddress, Roots, resolve
from lfk.core.errors import ObjectMissing
from lfk.core.formats import MANIFEST, Format, Page
from lfk.core.manifest import Manifest
from lfk.core.speaker_names import SpeakerNames
from lfk.core.transcript import Transcript, from_dict, turn_to_dict
from lfk.stores.base import ObjectStore

#: The manifest of a day-long recording stays well below this, in bytes.
_LIMIT = 128 << 20


@dataclass(frozen=True, slots=True)
class Opened:
    """``address`` has been checked: it lies where references may point."""

    manifest: Manifest
    transcript: Transcript
    address: AudioAddress

    def page(self, names: SpeakerNames) -> Page:
        """What any format but the manifest renders."""
        return Page(
            transcript=names.named(self.transcript),
            approach=self.address.approach,
            title=self.address.location.name,
            timestamps=self.manifest.rendering.timestamps,
            pause=self.manifest.rendering.pause,
        )

    def render(self, form: Format, names: SpeakerNames) -> bytes:
        """One format, as the hub would have written it with these names."""
        page = self.page(names)
        if form.name == MANIFEST:
            turns = [turn_to_dict(turn) for turn in page.transcript.turns]
            page = replace(page, manifest={**self.manifest.to_dict(), "turns": turns})
        return form.render(page)


def open_transcript(store: ObjectStore, roots: Roots, key: str) -> Opened:
    """Read one transcript.

    Raises:
        ObjectMissing: there is none, or what is there is no transcript.
        RejectedReference: its audio lies where no reference may point.
    """
    location = roots.transcripts.join(f"{key}.{MANIFEST}")
    if roots.records.contains(location):
        raise ObjectMissing(f"{location} is no transcript")
    content, _info = store.read(location, limit=_LIMIT)
    try:
        data = json.loads(content)
        manifest = Manifest.from_dict(data["lfk"])
        transcript = from_dict({**data, **{name: data["lfk"][name] for name in ("duration", "turns", "warnings")}})
        address = resolve(str(manifest.path_to_audio), str(manifest.transcription_approach), roots)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ObjectMissing(f"{location} is not a transcript of lfk ({type(error).__name__})") from error
    return Opened(manifest, transcript, address)
