"""Audio in messages: how it is cut, and how long its gateway waits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from lfk.settings import forms
from lfk.settings.declaring import declare

setting = partial(declare, "chunks")


@dataclass(frozen=True, kw_only=True)
class ChunkSettings:
    max_message_size: int = setting("MAX_MESSAGE_SIZE", 2097164, "largest chunk message in bytes", parse=forms.size)
    audio_size_ratio: float = setting(
        "AUDIO_SIZE_RATIO", 0.4, "part of a chunk message that is audio (Avro)", parse=forms.ratio
    )
    json_ratio: float = setting("JSON_RATIO", 0.3, "part of a chunk message that is audio (JSON)", parse=forms.ratio)
    chunk_group: str = setting("LFK_CHUNKS_GROUP", "lfk-chunks", "consumer group of the gateways")
    chunk_timeout: float = setting(
        "LFK_CHUNK_TIMEOUT",
        900.0,
        "seconds that the next chunk of an audio may take",
        parse=forms.seconds,
        flag="--chunk-timeout",
    )
