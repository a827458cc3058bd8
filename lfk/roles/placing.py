"""Where a found file goes, what is asked for it, and what is remembered of it there."""

from __future__ import annotations

from dataclasses import dataclass

from lfk.core.errors import RejectedReference
from lfk.core.layout import Placed, check_prefix, place
from lfk.core.location import Location
from lfk.core.sync_plan import Known
from lfk.roles.scan import Found
from lfk.roles.sync_job import SyncJob
from lfk.roles.sync_state import SyncState


@dataclass(frozen=True, slots=True)
class Destination:
    """Where one file goes; ``asked`` is the identity of what is asked for it."""

    placed: Placed
    asked: str

    @property
    def location(self) -> Location:
        """Of the object."""
        return self.placed.address.location


class Placing:
    """The layout of one job together with its memory. For the owner's thread."""

    def __init__(self, job: SyncJob, state: SyncState) -> None:
        """Raises InvalidLocation if the prefix cannot be part of a key."""
        self._job = job
        self._prefix = check_prefix(job.prefix)
        self._state = state
        #: What is asked for with each pair: the same few, for every file.
        self._asked: dict[str | None, str] = {}

    def of(self, relative: str) -> Destination:
        """Where the file at this path goes.

        Raises:
            RejectedReference: its name cannot be a key, or does not fit the layout.
        """
        placed = place(self._job.layout, relative, self._prefix, self._job.request, self._job.roots)
        if placed.pair not in self._asked:
            self._asked[placed.pair] = self._job.request.identity(placed.pair)
        return Destination(placed, self._asked[placed.pair])

    def known(self, relative: str, destination: Destination) -> Known | None:
        """What is remembered of the file for this very place, as it is to be there."""
        known = self._state.get(relative)
        if known is None or known.location != str(destination.location):
            return None
        # A whole video is as good as its audio, but not the other way round.
        return known if known.form in ("", self._job.extract) else None

    def confirmed(self, found: Found, destination: Destination | None = None) -> tuple[Location, Known] | None:
        """Where the file is and what is remembered, if its reference, as the file is now, is known as confirmed.

        ``destination`` saves finding it out again.
        """
        try:
            destination = destination or self.of(found.relative)
        except RejectedReference:
            return None
        known = self.known(found.relative, destination)
        if known is None or (known.stamp, known.confirmed) != (found.stamp, destination.asked):
            return None
        return destination.location, known
