"""What a store, or a queue of its notifications, answers."""

from __future__ import annotations

from lfk.core.errors.base import ExitCode, Kind, LfkError, Suspect


class StoreError(LfkError):
    """The store answered, with a refusal."""

    code = "store_error"


class ObjectMissing(StoreError):
    """No such object."""

    code = "object_missing"
    hint = "check the location; `lfk sync` uploads what is missing"


class AudioDeleted(ObjectMissing):
    """Audio that was deleted on request once its transcript had been verified, and is asked for in another way."""

    code = "audio_deleted"
    hint = "upload the file again to have it transcribed in another way"


class BucketMissing(StoreError):
    """No such bucket or store folder."""

    code = "bucket_missing"
    exit_code = ExitCode.USAGE
    suspect = Suspect.STORE
    hint = "check LFK_STORE, or create it with `lfk init`"


class QueueMissing(StoreError):
    """No such queue of notifications."""

    code = "queue_missing"
    exit_code = ExitCode.USAGE
    hint = "check LFK_LISTEN_QUEUE and AWS_REGION; docs/listen.md shows how a queue is made"


class AccessDenied(StoreError):
    """The credentials do not allow it."""

    code = "access_denied"
    exit_code = ExitCode.USAGE
    suspect = Suspect.STORE
    hint = "check the credentials and what they may do in that bucket; `lfk doctor` tests it"

    def __init__(self, message: str, *, hint: str | None = None, lacks_right: bool = False) -> None:
        """``lacks_right``: the store took the keys, and refused this one call."""
        super().__init__(message, hint=hint)
        self.lacks_right = lacks_right


class AudioForgotten(StoreError):
    """Audio that was removed on request. Its answers leave no record of it in the store, and no dead letter."""

    code = "audio_forgotten"
    hint = "delete it at its source too; where it may come again, `lfk forget --lift AUDIO` takes the note away"


class InvalidKey(StoreError):
    """A name that this store cannot hold."""

    code = "invalid_key"
    hint = (
        "rename the file: with the .json of its transcript at most 1024 bytes in all and 255 in a part, no '..' or NUL"
    )


class PreconditionFailed(StoreError):
    """A conditional write lost: the object is there already, or is no longer what it was."""

    code = "precondition_failed"
    kind = Kind.TRANSIENT
    hint = "somebody else wrote it first; read it again"


class SourceConflict(StoreError):
    """The object at that key came from another source; it is not overwritten."""

    code = "source_conflict"
    hint = "give this machine its own prefix with --prefix (LFK_SYNC_PREFIX)"


class ContentChanged(StoreError):
    """The file or object changed while it was read."""

    code = "content_changed"
    kind = Kind.TRANSIENT
    hint = "it is tried again once it stays unchanged"


class StoreFull(StoreError):
    """No room in the store."""

    code = "store_full"
    kind = Kind.TRANSIENT
    suspect = Suspect.STORE
    hint = "make room in the store; work goes on by itself"
