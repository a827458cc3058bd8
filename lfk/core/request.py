"""What a sender asks for besides the audio itself: approach, model, language, options.

Every role that sends references makes one of these from the user's flags, so that a half-given pair
(``--approach`` alone) means the same everywhere: the other half comes from the path, else from the defaults.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lfk.core.addressing import AudioAddress, Roots, resolve
from lfk.core.approaches import require_approach
from lfk.core.messages import AudioReference
from lfk.core.options import parse_options

#: The option that is a field of the message itself.
_LANGUAGE = "language"


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for. Empty approach or model: not given."""

    approach: str = ""
    model: str = ""
    language: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def make(cls, approach: str, model: str, options: Mapping[str, Any], roots: Roots) -> Request:
        """From what a user wrote; ``language`` among the options becomes the message's own field.

        Raises:
            UnknownApproach, UnknownModel: not offered here.
            InvalidOption: no hub would take the options.
        """
        parse_options(options, None)
        return cls(
            approach=require_approach(approach).name if approach else "",
            model=roots.catalogue.require(model) if model else "",
            language=options.get(_LANGUAGE),
            options={name: value for name, value in options.items() if name != _LANGUAGE},
        )

    @property
    def names_pair(self) -> bool:
        """Whether the message has to carry a ``transcription_approach``, as the path alone says something else."""
        return bool(self.approach or self.model)

    def resolve(self, path: str, roots: Roots) -> AudioAddress:
        """What ``path`` means under this request.

        Raises:
            RejectedReference: as :func:`lfk.core.addressing.resolve`.
        """
        if self.approach and self.model:
            return resolve(path, f"{self.approach}.{self.model}", roots)
        address = resolve(path, None, roots)
        if not self.names_pair:
            return address
        return resolve(path, f"{self.approach or address.approach.name}.{self.model or address.model}", roots)

    def completed(self, roots: Roots) -> Request:
        """The same with the defaults for a half that was not given."""
        return Request(
            self.approach or roots.default_approach.name, self.model or roots.default_model, self.language, self.options
        )

    def reference(self, address: AudioAddress, pair: str | None, timestamp: int, **facts: Any) -> AudioReference:
        """The message that asks this for the audio at ``address``; ``facts`` are its fields about the content."""
        return AudioReference(
            path_to_audio=str(address.location),
            transcription_approach=pair,
            timestamp=timestamp,
            language=self.language,
            options=self.options,
            **facts,
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "approach": self.approach,
            "model": self.model,
            "language": self.language,
            "options": dict(self.options),
        }

    def identity(self, pair: str | None) -> str:
        """Equal where the same is asked: what a sender remembers as confirmed. ``pair`` is what the message carries."""
        text = json.dumps([pair, self.language, dict(self.options)], sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
