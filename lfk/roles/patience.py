"""Sending where the broker may be full: the embedded one makes room as its hub works, so a sender waits a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from lfk.core.errors import BrokerFull
from lfk.core.location import Location
from lfk.core.messages import AudioReference
from lfk.roles.sender import ReferenceSender

#: How long a full broker may take to make room for the next reference: a hub frees some whenever a job ends.
FULL_SECONDS = 120.0
#: How often it is asked again.
_AGAIN_SECONDS = 0.2


def send_when_room(
    sender: ReferenceSender,
    audio: Location,
    reference: AudioReference,
    confirmed: Callable[[Exception | None], None],
    over: Callable[[], bool],
    *,
    carried: Mapping[str, bytes] | None = None,
) -> None:
    """As :meth:`ReferenceSender.send`, but wait for room until ``over`` says so.

    Raises:
        BrokerFull: there was no room in :data:`FULL_SECONDS`, or it was over.
    """
    patience = time.monotonic() + FULL_SECONDS
    while True:
        try:
            sender.send(audio, reference, confirmed, carried)
        except BrokerFull:
            if over() or time.monotonic() > patience:
                raise
            time.sleep(_AGAIN_SECONDS)
        else:
            return
