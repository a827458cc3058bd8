"""The one tree of errors; every failure that a user can meet is one of these.

::

    LfkError
    ├── UsageError               the command line or the settings are wrong             exit 2
    │   └── BrokerSettingsInvalid    Kafka's own settings
    ├── UnsupportedFeature       an extra is not installed                              exit 2
    ├── NotificationsUnsupported the store does not tell of new objects                 exit 2
    ├── Unreachable              a service does not answer (outage, not the audio)      exit 3
    │   ├── BrokerUnreachable
    │   ├── StoreUnreachable
    │   ├── QueueUnreachable     the queue of notifications
    │   └── RegistryUnreachable  the Schema Registry
    ├── RejectedReference        a message or location that lfk refuses                 exit 1
    │   ├── MalformedMessage, MessageTooLarge, FramesNotAllowed
    │   ├── ForbiddenLocation, InvalidLocation
    │   └── UnknownApproach, UnknownModel, InvalidOption
    ├── StoreError
    │   ├── AccessDenied, BucketMissing, QueueMissing                                   exit 2
    │   ├── ObjectMissing, InvalidKey
    │   │   └── AudioDeleted     on purpose, once it had been transcribed
    │   ├── AudioForgotten       what was removed on request with `lfk forget`
    │   ├── PreconditionFailed   a conditional write lost; somebody else was first
    │   ├── SourceConflict       the object there came from another source
    │   ├── ContentChanged       the bytes changed while they were read
    │   └── StoreFull
    ├── BrokerError
    │   ├── BrokerFull           the embedded broker's partition has no room left
    │   ├── TopicMissing, BrokerDenied, BrokerUntrusted                                 exit 2
    │   ├── InstanceTaken        another hub has this hub's name in the group                exit 2
    │   └── SettlementLost       a commit whose outcome is not known
    │       └── SettlementRefused    a commit of which nothing counts
    ├── RegistryError            the Schema Registry answered, with a refusal           exit 2
    │   └── RegistryDenied, SchemaMissing, SchemaRefused
    ├── MediaError
    │   ├── AudioEmpty, AudioUndecodable, NoAudioTrack
    │   └── AudioTooLong, AudioTooLarge
    ├── ChunkError               audio in messages that could not be joined
    │   └── ChunksIncomplete, ChunksTimedOut, ChunksMixed
    ├── EngineError
    │   ├── EngineCrashed, EngineOutOfMemory, EngineTimeout, EngineUnavailable
    │   └── StageFailed
    ├── ModelMissing, ModelInvalid
    ├── CommandFailed            a command of the user's own, run for a transcript
    ├── FileUnreadable           a file of this machine that cannot be read
    ├── ScratchFull              this machine's disk, not the audio
    ├── FailureMissing, FailureUnreadable, NotRetryable     a recorded failure
    └── AttemptsExhausted        a reference whose attempts died with the hub itself

``kind`` says what a machine does about it: *transient* is tried again, *permanent* is answered with a failure,
*fatal* stops the command because nothing can work until somebody acts. Nobody decides by an error's text.

``suspect`` names the part of a hub that may be at fault instead of the audio: a hub that meets such an error looks at
itself before it blames the job.
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar


class Kind(str, Enum):
    """What a machine should do about an error."""

    TRANSIENT = "transient"
    PERMANENT = "permanent"
    FATAL = "fatal"


class Suspect(str, Enum):
    """A part of a hub that may be at fault for a job's failure."""

    STORE = "store"
    REGISTRY = "registry"
    SCRATCH = "scratch"
    MODEL = "model"
    ENGINE = "engine"


class ExitCode(int, Enum):
    """Exit codes of every command (DESIGN §6)."""

    OK = 0
    SOME_FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    INTERRUPTED = 130


class LfkError(Exception):
    """Root of the tree: ``message`` says what happened, ``hint`` what the user can do about it."""

    code: ClassVar[str] = "internal"
    kind: ClassVar[Kind] = Kind.PERMANENT
    exit_code: ClassVar[ExitCode] = ExitCode.SOME_FAILED
    suspect: ClassVar[Suspect | None] = None
    hint: str = "run it again with -v and report what it prints"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if hint is not None:
            self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(LfkError):
    """The command line or the configuration cannot be used as it is."""

    code = "usage"
    kind = Kind.FATAL
    exit_code = ExitCode.USAGE
    hint = "see `lfk COMMAND --help`, or run `lfk doctor`"


class BrokerSettingsInvalid(UsageError):
    """What is set for Kafka contradicts itself, is unknown to librdkafka, or does not fit the broker."""

    code = "broker_settings"
    hint = "check API_KEY, API_SECRET and the LFK_KAFKA_* settings; docs/kafka.md shows them for each kind of cluster"


class UnsupportedFeature(UsageError):
    """A part of lfk that is not installed here."""

    code = "extra_missing"
    hint = "install the extra that the message names"


class NotificationsUnsupported(UsageError):
    """What is asked for new objects there does not tell of them."""

    code = "notifications_unsupported"
    hint = "use `lfk listen --source sqs` or `--source webhook`; docs/listen.md shows how they are set up"


class Unreachable(LfkError):
    """A service does not answer: an outage, which costs no attempt."""

    code = "unreachable"
    kind = Kind.TRANSIENT
    exit_code = ExitCode.UNREACHABLE
    suspect = Suspect.STORE
    hint = "check the address and the network, then run `lfk doctor`"


class BrokerUnreachable(Unreachable):
    """No Kafka broker answers."""

    code = "broker_unreachable"
    hint = "check BOOTSTRAP_SERVERS and that the broker runs; `lfk doctor` tests it"


class StoreUnreachable(Unreachable):
    """The store does not answer, or answers 5xx."""

    code = "store_unreachable"
    hint = "check LFK_STORE, AWS_ENDPOINT_URL_S3 and the network; `lfk doctor` tests it"


class QueueUnreachable(Unreachable):
    """The queue of notifications does not answer, or answers 5xx."""

    code = "queue_unreachable"
    hint = "check LFK_LISTEN_QUEUE, AWS_REGION, AWS_ENDPOINT_URL_SQS and the network"


class RegistryUnreachable(Unreachable):
    """The Schema Registry does not answer, or answers 5xx."""

    code = "registry_unreachable"
    suspect = Suspect.REGISTRY
    hint = "check SCHEMA_REGISTRY_URL and the network; `lfk doctor` tests it"


class RejectedReference(LfkError):
    """A reference that can never succeed as it is."""

    code = "rejected"
    hint = "correct the reference and send it again"


class MalformedMessage(RejectedReference):
    """Not JSON, not of the schema, or not sane."""

    code = "malformed_message"
    hint = "see schemas/audio-reference.json for what a reference holds"


class MessageTooLarge(RejectedReference):
    """Over the limit for a reference or an announcement."""

    code = "message_too_large"
    hint = "a reference is under 64 KiB; audio goes to the store, or through `lfk chunks send`"


class FramesNotAllowed(RejectedReference):
    """Audio frames on a topic that carries references only."""

    code = "frames_not_allowed"
    hint = "send chunks to the topic of LFK_TOPIC_CHUNKS and run `lfk chunks gateway`"


class InvalidLocation(RejectedReference):
    """A location that cannot be parsed."""

    code = "invalid_location"
    hint = "write it as s3://bucket/key, file:///dir/name, or a path relative to the audio root"


class ForbiddenLocation(RejectedReference):
    """A location outside the audio root and LFK_ALLOWED."""

    code = "forbidden_location"
    hint = "put the audio under LFK_AUDIO, or let the operator add its prefix to LFK_ALLOWED"


class UnknownApproach(RejectedReference):
    """Not one of the approaches."""

    code = "unknown_approach"
    hint = "use simple, segmentation or diarisation"


class UnknownModel(RejectedReference):
    """A model that the operator's list does not hold."""

    code = "unknown_model"
    hint = "use approach/model/... with a model that `lfk models list` shows"


class InvalidOption(RejectedReference):
    """An option of a job that is unknown or out of its limits."""

    code = "invalid_option"
    hint = "see docs/reference/options.md for the options and their limits"


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


class BrokerError(LfkError):
    """The broker answered, with a refusal."""

    code = "broker_error"


class BrokerFull(BrokerError):
    """The embedded broker keeps a few megabytes a partition, and drops nothing unread."""

    code = "broker_full"
    kind = Kind.TRANSIENT
    hint = "let `lfk up` work through what is queued, or use a real Kafka (BOOTSTRAP_SERVERS)"


class TopicMissing(BrokerError):
    """A topic that nobody created."""

    code = "topic_missing"
    kind = Kind.FATAL
    exit_code = ExitCode.USAGE
    hint = "create the topics with `lfk init`"


class BrokerDenied(BrokerError):
    """Wrong credentials or no right to use a topic or group."""

    code = "broker_denied"
    kind = Kind.FATAL
    exit_code = ExitCode.USAGE
    hint = "check API_KEY and API_SECRET (or LFK_KAFKA_SASL_*) and the rights (docs/access.md); `lfk doctor` tests them"


class BrokerUntrusted(BrokerError):
    """The broker's certificate proves nothing to this machine: another authority, another name, or out of its time."""

    code = "broker_untrusted"
    kind = Kind.FATAL
    exit_code = ExitCode.USAGE
    hint = "name the file with the authority's certificate in LFK_KAFKA_SSL_CA_LOCATION"


class InstanceTaken(BrokerError):
    """Another member of the group has taken this hub's static name."""

    code = "instance_taken"
    kind = Kind.FATAL
    exit_code = ExitCode.USAGE
    hint = "give every hub of a group its own LFK_INSTANCE, or none"


class SettlementLost(BrokerError):
    """A commit failed in a way that leaves open whether it counts; what stands must be asked for."""

    code = "settlement_lost"
    kind = Kind.TRANSIENT
    hint = "nothing has to be done: the hub asks the broker what stands, then goes on"


class SettlementRefused(SettlementLost):
    """A commit was refused, so nothing of it counts: the group is sharing its partitions out anew."""

    code = "settlement_refused"
    hint = "nothing has to be done: it is tried again, or another hub does the work"


class RegistryError(LfkError):
    """The Schema Registry answered, with a refusal."""

    code = "registry_error"
    kind = Kind.FATAL
    exit_code = ExitCode.USAGE
    suspect = Suspect.REGISTRY
    hint = "check SCHEMA_REGISTRY_URL; `lfk doctor` tests it"


class RegistryDenied(RegistryError):
    """The credentials do not allow it, or the registry's certificate is not trusted."""

    code = "registry_denied"
    hint = "check SCHEMA_REGISTRY_KEY, SCHEMA_REGISTRY_SECRET and what they may do; `lfk doctor` tests them"


class SchemaMissing(RegistryError):
    """lfk's schema is not registered under the subject of a topic."""

    code = "schema_missing"
    hint = "register the schemas with `lfk init`, under the same SCHEMA_TYPE"


class SchemaRefused(RegistryError):
    """The registry finds the schema incompatible with what its subject holds."""

    code = "schema_refused"
    hint = (
        "another schema is registered under that subject: use a topic of another name, or have whoever owns the "
        "subject delete it or set its compatibility to NONE"
    )


class MediaError(LfkError):
    """The audio itself is the problem."""

    code = "media_error"
    hint = "play the file, convert it (for example to wav or flac) and upload it again"


class AudioEmpty(MediaError):
    """Zero bytes, or no samples."""

    code = "audio_empty"
    hint = "the file holds no audio; record or upload it again"


class AudioUndecodable(MediaError):
    """Not a media file, or broken beyond use."""

    code = "audio_undecodable"


class NoAudioTrack(MediaError):
    """A video without sound."""

    code = "no_audio_track"
    hint = "the file has no audio track; upload the one that has"


class AudioTooLong(MediaError):
    """Over LFK_MAX_DURATION."""

    code = "audio_too_long"
    hint = "split the recording, or raise LFK_MAX_DURATION"


class AudioTooLarge(MediaError):
    """Over LFK_MAX_AUDIO_BYTES."""

    code = "audio_too_large"
    hint = "split or compress the recording, or raise LFK_MAX_AUDIO_BYTES"


class ChunkError(LfkError):
    """Audio that came in messages and could not be joined."""

    code = "chunk_error"
    hint = "send the file again with `lfk chunks send`, or upload it with `lfk sync`"


class ChunksIncomplete(ChunkError):
    """The last chunk came, but not all that belong before it."""

    code = "chunks_incomplete"


class ChunksTimedOut(ChunkError):
    """The rest of an audio did not come within LFK_CHUNK_TIMEOUT."""

    code = "chunks_timed_out"
    hint = "send the file again; where senders pause for longer, raise LFK_CHUNK_TIMEOUT"


class ChunksMixed(ChunkError):
    """Chunks of one name that are not of one audio."""

    code = "chunks_mixed"


class EngineError(LfkError):
    """The speech engine failed on this job."""

    code = "engine_error"
    kind = Kind.TRANSIENT
    suspect = Suspect.ENGINE
    hint = "it is tried again; `lfk dlq show` tells more once it has given up"


class EngineCrashed(EngineError):
    """The engine process died."""

    code = "engine_crashed"


class EngineOutOfMemory(EngineError):
    """The engine passed its memory limit, or the device has no memory left."""

    code = "engine_out_of_memory"
    hint = "raise LFK_ENGINE_MEMORY, use fewer workers or a smaller model"


class EngineTimeout(EngineError):
    """The engine took longer than the audio's length allows."""

    code = "engine_timeout"
    hint = "raise LFK_JOB_TIMEOUT_FACTOR, use more threads or a smaller model"


class EngineUnavailable(EngineError):
    """No engine can be started on this machine: fatal for the hub, not for the audio."""

    code = "engine_unavailable"
    kind = Kind.FATAL
    exit_code = ExitCode.USAGE
    hint = "install the engine with `pip install 'lfk[hub]'`, or run `lfk doctor`"


class StageFailed(EngineError):
    """A stage raised an error of its own."""

    code = "stage_failed"


class ModelMissing(LfkError):
    """Weights that are nowhere to be found on this hub: that job's failure, not the hub's."""

    code = "model_missing"
    suspect = Suspect.MODEL
    hint = "fetch it with `lfk models pull NAME`, or put it into models/"


class ModelInvalid(LfkError):
    """Weights that are truncated, of a wrong hash, or not safe to load."""

    code = "model_invalid"
    suspect = Suspect.MODEL
    hint = "delete them and run `lfk models pull NAME`; `lfk models verify` checks all"


class CommandFailed(LfkError):
    """A command of the user's own (``--exec``) that did not succeed."""

    code = "command_failed"
    hint = "run the command by hand; its announcement will not come again by itself"


class FileUnreadable(LfkError):
    """A local file that is gone, not a file, or not ours to read."""

    code = "file_unreadable"
    hint = "check that it is there, is a file, and may be read"


class ScratchFull(LfkError):
    """The hub's own scratch folder has no room."""

    code = "scratch_full"
    kind = Kind.TRANSIENT
    suspect = Suspect.SCRATCH
    hint = "make room in MAIN_NODE_TEMP_FOLDER, or lower LFK_SCRATCH_BYTES"


class FailureMissing(LfkError):
    """No failure is recorded under that event id."""

    code = "failure_missing"
    hint = "see `lfk dlq list`; it may have been sent again and come good, or been discarded"


class FailureUnreadable(LfkError):
    """The record of a failure in the store is damaged."""

    code = "failure_unreadable"
    hint = "`lfk dlq discard EVENT` removes it; `lfk republish --only missing` then finds the audio again"


class NotRetryable(LfkError):
    """A dead letter that would fail again however often it is sent, or whose message is nowhere to be had."""

    code = "not_retryable"
    hint = "have its sender correct it and send a new reference, then `lfk dlq discard EVENT`"


class AttemptsExhausted(LfkError):
    """Every allowed attempt at this reference was begun and none came to an end."""

    code = "attempts_exhausted"
    hint = "the audio brought the hub down each time; look at it, then `lfk dlq retry`"
