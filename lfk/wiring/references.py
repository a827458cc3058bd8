"""References: what they ask for, what holds where they ask for nothing, and whether they can be sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lfk.core.errors import RejectedReference, TopicMissing, UsageError
from lfk.core.manifest import Rendering
from lfk.settings import Settings
from lfk.stores.base import ObjectStore
from lfk.wiring.broker import find_broker, real_broker
from lfk.wiring.places import roots

if TYPE_CHECKING:
    from lfk.core.request import Request


def request(settings: Settings) -> Request:
    """What LFK_APPROACH, LFK_MODEL and LFK_OPTIONS ask for.

    Raises:
        UsageError: not offered here.
    """
    from lfk.core.request import Request

    try:
        return Request.make(settings.approach, settings.model, settings.options, roots(settings))
    except RejectedReference as error:
        raise UsageError(error.message, hint=error.hint) from error


def rendering(settings: Settings) -> Rendering:
    """How transcripts are laid out unless a job says otherwise.

    Raises:
        UsageError: LFK_FORMATS names a format that there is not.
    """
    from lfk.core.formats import MANIFEST, formats

    unknown = set(settings.formats) - set(formats())
    if unknown:
        raise UsageError(
            f"LFK_FORMATS: no format is called {', '.join(sorted(unknown))}; there are {', '.join(formats())}"
        )
    # The manifest is always written: it is what everything else is found by.
    return Rendering(tuple(dict.fromkeys((*settings.formats, MANIFEST))), settings.timestamps, settings.pause)


def confirm_topic(settings: Settings, topic: str) -> None:
    """Make sure, before any work, that references can be sent to ``topic``; the embedded broker has every topic.

    Raises:
        BrokerUnreachable: the broker of BOOTSTRAP_SERVERS does not answer.
        TopicMissing: it does not have the topic.
    """
    if settings.bootstrap and real_broker(settings).partitions(topic) == 0:
        raise TopicMissing(f"there is no topic {topic} at {settings.bootstrap}")


def references_wait(settings: Settings, store: ObjectStore) -> bool:
    """Whether references go into the store's outbox now, as no embedded broker runs here."""
    return not settings.bootstrap and find_broker(settings, store) is None
