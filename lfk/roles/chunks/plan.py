"""What a gateway is told once."""

from __future__ import annotations

from dataclasses import dataclass

from lfk.roles.hub.answers import Topics


@dataclass(frozen=True, slots=True)
class GatewayPlan:
    """What a gateway is told once. Times in seconds."""

    group: str
    topic: str
    topic_audio: str
    answers: Topics
    #: How long the next chunk of an audio may take.
    timeout: float
    settle_interval: float
    #: Given to audios that are being stored on a stop.
    grace: float
    #: Bytes of one audio.
    max_audio_bytes: int
    transfers: int
    exit_when_idle: float = 0.0
