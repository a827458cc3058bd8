"""The weights that the stages of an engine load, verified; and the data that sentences are split with.

An engine's process finds what is on this machine and fetches nothing: that is the hub's, before it hands a job over
(see :mod:`lfk.engine.models`).
"""

from __future__ import annotations

from pathlib import Path

from lfk.core.errors import ModelMissing, UnknownModel
from lfk.engine.models.base import Weights
from lfk.engine.models.library import ModelLibrary
from lfk.resources import resource


class EngineWeights:
    """Weights by what they are for. Every method raises ModelInvalid if they are here and not what they should be."""

    def __init__(self, library: ModelLibrary) -> None:
        self._library = library

    def whisper(self, model: str) -> Weights:
        """The weights of an exact model.

        Raises:
            ModelMissing: they are not on this machine, and cannot be fetched from here.
        """
        return self._library.resolve(f"whisper/{model}")

    def aligner(self, language: str) -> Weights | None:
        """The aligner of a language, or None where there is none."""
        try:
            return self._library.resolve(f"alignment/{language}")
        except (ModelMissing, UnknownModel):
            return None

    def segmentation(self) -> Weights:
        """The network that hears speech and, roughly, speakers.

        Raises:
            ModelMissing: it is not on this machine.
        """
        return self._library.resolve("segmentation")

    def encoder(self) -> Weights:
        """What tells voices apart.

        Raises:
            ModelMissing: it is not on this machine.
        """
        return self._library.resolve("embedding")


def sentence_data() -> Path | None:
    """The folder of NLTK data that travels with lfk."""
    try:
        return resource("models/nltk")
    except FileNotFoundError:
        return None
