"""Is what was asked for there? Decided from a manifest and a reference alone, as a hub would identify the work.

A manifest answers a reference if it is of that audio, of the asked approach, of work with exactly the asked
recognition options, and laid out as far as the reference says how. Which version of the audio it is of is for the
caller to judge, who can look at the audio.
Which exact weights did the work is the hub's choice, so model and revision are taken from the manifest's provenance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lfk.core.addressing import AudioAddress
from lfk.core.batch import Entry
from lfk.core.identity import job_id
from lfk.core.manifest import Manifest
from lfk.core.options import JobOptions, parse_options


def answers(manifest: Manifest, entry: Entry, address: AudioAddress) -> bool:
    """Whether the transcript is the one that ``entry`` asked for; ``address`` is what its reference means.

    Raises:
        InvalidOption: no hub takes the reference's options.
    """
    reference = entry.reference
    options = parse_options(reference.options, reference.language)
    if manifest.path_to_audio != str(address.location):
        return False
    if reference.force and manifest.event_id == entry.before:
        return False
    return _same_work(manifest, address, options) and _laid_out(manifest, address, reference.options, options)


def _same_work(manifest: Manifest, address: AudioAddress, options: JobOptions) -> bool:
    made_by = manifest.provenance
    if manifest.transcription_approach != address.pair:
        return False
    asked = job_id(
        manifest.audio.sha256,
        address.approach.name,
        str(made_by.get("model")),
        str(made_by.get("revision")),
        options.work_in(address.approach.stages),
    )
    return asked == manifest.job_id


def _laid_out(manifest: Manifest, address: AudioAddress, given: Mapping[str, Any], options: JobOptions) -> bool:
    """As asked, where the reference says how: what it leaves open is the operator's."""
    wanted, there = options.rendering, manifest.rendering
    if given.get("formats") is not None and wanted.formats != there.formats:
        return False
    if given.get("timestamps") is not None and (wanted.timestamps != address.flips_timestamps) != there.timestamps:
        return False
    return given.get("pause") is None or wanted.pause == there.pause
