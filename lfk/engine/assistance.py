"""Pieces of a stage, on both sides: what of it is sent to a helper, what the helper does, and what comes back.

A new kind of piece is one function here and one entry in :data:`KINDS`. Data are JSON; samples never travel, as the
helper maps the file that the task's own engine has decoded into.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lfk.core.errors import StageFailed
from lfk.core.transcript import Segment, from_dict, segment_to_dict
from lfk.engine.media import opened
from lfk.engine.regions import Region, Spoken
from lfk.engine.samples import Samples

if TYPE_CHECKING:
    from lfk.engine.shelf import Shelf


def arrays_to_json(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Arrays as text, to the bit."""
    return {
        name: [str(array.dtype), list(array.shape), base64.b64encode(array.tobytes()).decode("ascii")]
        for name, array in arrays.items()
    }


def arrays_from_json(data: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """The inverse of :func:`arrays_to_json`."""
    return {
        name: np.frombuffer(base64.b64decode(content), dtype=np.dtype(kind)).reshape(shape)
        for name, (kind, shape, content) in data.items()
    }


def spoken_to_json(spoken: Sequence[Spoken]) -> list[Any]:
    """Regions with their language."""
    return [[one.region.start, one.region.end, one.language] for one in spoken]


def segments_to_json(segments: Sequence[Segment]) -> list[Any]:
    """As in a transcript."""
    return [segment_to_dict(segment) for segment in segments]


def segments_from_json(data: Sequence[Any]) -> list[Segment]:
    """The inverse of :func:`segments_to_json`."""
    return list(from_dict({"language": None, "duration": None, "segments": data}).segments)


def assist(models: Shelf, kind: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Do a piece.

    Raises:
        StageFailed: its audio is not to be had any more.
        LfkError: as the stage that it is of.
    """
    try:
        samples = opened(data["audio"])
    except OSError as error:
        raise StageFailed("the audio of the piece is gone") from error
    return KINDS[kind](models, samples, data)


def _recognise(models: Shelf, samples: Samples, data: Mapping[str, Any]) -> Mapping[str, Any]:
    spoken = [Spoken(Region(start, end), language) for start, end, language in data["spoken"]]
    return {"segments": segments_to_json(models.recogniser(data["model"]).recognise(samples, spoken, data["options"]))}


def _align(models: Shelf, samples: Samples, data: Mapping[str, Any]) -> Mapping[str, Any]:
    aligner = models.aligner(data["language"])
    if aligner is None:
        raise StageFailed(f"no aligner for {data['language']!r} is at hand")
    found, failed = aligner.align(samples, segments_from_json(data["segments"]))
    return {"segments": segments_to_json(found), "failed": failed}


def _speech(models: Shelf, samples: Samples, data: Mapping[str, Any]) -> Mapping[str, Any]:
    return arrays_to_json({"scores": models.detector().scores(samples, data["block"])})


def _voices(models: Shelf, samples: Samples, data: Mapping[str, Any]) -> Mapping[str, Any]:
    from lfk.engine.diariser.diariser import Block

    return arrays_to_json(models.diariser().listen(samples, Block(data["first"], data["count"])).arrays())


KINDS: Mapping[str, Callable[[Shelf, Samples, Mapping[str, Any]], Mapping[str, Any]]] = {
    "recognise": _recognise,
    "align": _align,
    "speech": _speech,
    "voices": _voices,
}
