"""Should this file be uploaded? A pure decision from the file, what is remembered of it, and what the store has.

What is remembered is a cache: without it more is read and more references are sent, and nothing else differs.

==================  =============================  =================  ==============================================
the store has       content                        uploaded from      decision
==================  =============================  =================  ==============================================
nothing             any                            -                  upload, if there still is nothing then
an object           same, its reference confirmed  any                skip
an object           same, not known as confirmed   any                refer: silence is a loss, a repetition is cheap
an object           different                      here               upload, if it still is that object then
an object           different, or not comparable   elsewhere, unknown conflict
==================  =============================  =================  ==============================================

"Same" is either the ETag that was remembered for this very file, unchanged since, or an equal sha256 in the object's
metadata. "Confirmed" means: a reference to this content at this ETag, asking for the same, was confirmed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells, without reading it, that a file is still the same. Times are nanoseconds since the epoch.

    The change time is part of it because copying over a file can keep its size, inode and modification time.
    """

    size: int
    modified: int
    changed: int
    inode: int


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes by their number and hash."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Known:
    """What is remembered of a file: its content when it had ``stamp``, the object at ``location`` with it."""

    stamp: Stamp
    location: str
    sha256: str
    etag: str
    version_id: str | None = None
    #: Identity of the request whose reference was confirmed; empty if none was.
    confirmed: str = ""
    #: What the object holds where that is not the file itself but its audio alone, in this form.
    extracted: Content | None = None
    form: str = ""

    @property
    def stored(self) -> Content:
        """What the object holds."""
        return self.extracted or Content(self.stamp.size, self.sha256)


@dataclass(frozen=True, slots=True)
class Remote:
    """The object at the file's place, as the store tells. ``sha256`` and ``source`` are None where it does not say.

    ``size`` and ``sha256`` are those of the file that it was made from, where it is the audio of that file alone.
    """

    size: int
    etag: str
    version_id: str | None
    sha256: str | None
    source: str | None


class Action(str, Enum):
    """What is to be done about a file."""

    UPLOAD = "upload"
    REFER = "refer"
    SKIP = "skip"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Decision:
    """``replaces`` is the ETag of the object that an upload may overwrite; None: it may overwrite nothing."""

    action: Action
    replaces: str | None = None


def needs_hash(stamp: Stamp, known: Known | None, remote: Remote | None) -> bool:
    """Whether the file has to be read before :func:`decide` can tell."""
    if remote is None or remote.sha256 is None or remote.size != stamp.size:
        return False
    return known is None or known.stamp != stamp


def decide(
    stamp: Stamp, known: Known | None, remote: Remote | None, sha256: str | None, *, source: str, request: str
) -> Decision:
    """See the table above.

    Args:
        known: what is remembered for this location; None if nothing is.
        sha256: of the file now, if :func:`needs_hash` asked for it.
        source: who we are, as in the metadata of objects uploaded from here.
        request: identity of what would be asked now.
    """
    if remote is None:
        return Decision(Action.UPLOAD)
    holds = known is not None and known.stamp == stamp
    content = known.sha256 if known is not None and holds else sha256
    at_known = known is not None and known.etag == remote.etag
    same = (holds and at_known) or (content is not None and content == remote.sha256)
    if same:
        confirmed = known is not None and at_known and known.sha256 == content and known.confirmed == request
        return Decision(Action.SKIP if confirmed else Action.REFER)
    if remote.source == source:
        return Decision(Action.UPLOAD, replaces=remote.etag)
    return Decision(Action.CONFLICT)
