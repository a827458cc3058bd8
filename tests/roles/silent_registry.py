"""A codec whose Schema Registry answers or does not, as the test says."""

from __future__ import annotations

import threading

from lfk.brokers.codec import JsonCodec
from lfk.core.chunks import AudioChunk
from lfk.core.errors import RegistryUnreachable
from lfk.core.messages import AudioReference


class SilentRegistryCodec(JsonCodec):
    """Messages are bare JSON; reading one takes a registry all the same while ``silent`` is set."""

    def __init__(self) -> None:
        self.silent = threading.Event()
        self.asked = 0

    def knows(self, _value: bytes | None) -> bool:
        return not self.silent.is_set()

    def check(self) -> None:
        if self.silent.is_set():
            self.asked += 1
            raise RegistryUnreachable("no answer")

    def decode_reference(self, value: bytes | None) -> AudioReference:
        self.check()
        return super().decode_reference(value)

    def decode_chunk(self, value: bytes | None) -> AudioChunk:
        self.check()
        return super().decode_chunk(value)
