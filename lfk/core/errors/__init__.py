"""The one tree of errors; every failure that a user can meet is one of these.

::

    LfkError                                                                                 base.py
    ├── UsageError           the command line, the settings, what is installed       exit 2  configuration.py
    ├── Unreachable          a service does not answer: an outage, not the audio     exit 3  outage.py
    ├── RejectedReference    a message or location that lfk refuses                          reference.py
    ├── StoreError           a store answered, with a refusal                                storage.py
    ├── BrokerError          a broker answered, with a refusal                               broker.py
    ├── RegistryError        the Schema Registry answered, with a refusal            exit 2  broker.py
    ├── MediaError           the audio itself is the problem                                 audio.py
    ├── ChunkError           audio in messages that could not be joined                      audio.py
    ├── EngineError          the speech engine failed                                        engine.py
    └── some that stand alone: of models (engine.py), of this machine (machine.py), of recorded failures and used-up
        attempts (failure.py)

docs/reference/errors.md has every one of them, with its exit code where that differs from its parent's.

``kind`` says what a machine does about it: *transient* is tried again, *permanent* is answered with a failure,
*fatal* stops the command because nothing can work until somebody acts. Nobody decides by an error's text.

``suspect`` names the part of a hub that may be at fault instead of the audio: a hub that meets such an error looks at
itself before it blames the job.
"""

from lfk.core.errors.audio import (
    AudioEmpty,
    AudioTooLarge,
    AudioTooLong,
    AudioUndecodable,
    ChunkError,
    ChunksIncomplete,
    ChunksMixed,
    ChunksTimedOut,
    MediaError,
    NoAudioTrack,
)
from lfk.core.errors.base import ExitCode, Kind, LfkError, Suspect
from lfk.core.errors.broker import (
    BrokerDenied,
    BrokerError,
    BrokerFull,
    BrokerUntrusted,
    InstanceTaken,
    RegistryDenied,
    RegistryError,
    SchemaMissing,
    SchemaRefused,
    SettlementLost,
    SettlementRefused,
    TopicMissing,
)
from lfk.core.errors.configuration import (
    BrokerSettingsInvalid,
    NotificationsUnsupported,
    UnsupportedFeature,
    UsageError,
)
from lfk.core.errors.engine import (
    EngineCrashed,
    EngineError,
    EngineOutOfMemory,
    EngineTimeout,
    EngineUnavailable,
    ModelInvalid,
    ModelMissing,
    StageFailed,
)
from lfk.core.errors.failure import AttemptsExhausted, FailureMissing, FailureUnreadable, NotRetryable
from lfk.core.errors.machine import CommandFailed, FileUnreadable, ScratchFull
from lfk.core.errors.outage import (
    BrokerUnreachable,
    QueueUnreachable,
    RegistryUnreachable,
    StoreUnreachable,
    Unreachable,
)
from lfk.core.errors.reference import (
    ForbiddenLocation,
    FramesNotAllowed,
    InvalidLocation,
    InvalidOption,
    MalformedMessage,
    MessageTooLarge,
    RejectedReference,
    UnknownApproach,
    UnknownModel,
)
from lfk.core.errors.storage import (
    AccessDenied,
    AudioDeleted,
    AudioForgotten,
    BucketMissing,
    ContentChanged,
    InvalidKey,
    ObjectMissing,
    PreconditionFailed,
    QueueMissing,
    SourceConflict,
    StoreError,
    StoreFull,
)

#: In the order of the tree, which is the reference's.
__all__ = [  # noqa: RUF022
    # --- base
    "Kind",
    "Suspect",
    "ExitCode",
    "LfkError",
    # --- configuration
    "UsageError",
    "BrokerSettingsInvalid",
    "UnsupportedFeature",
    "NotificationsUnsupported",
    # --- outage
    "Unreachable",
    "BrokerUnreachable",
    "StoreUnreachable",
    "QueueUnreachable",
    "RegistryUnreachable",
    # --- reference
    "RejectedReference",
    "MalformedMessage",
    "MessageTooLarge",
    "FramesNotAllowed",
    "InvalidLocation",
    "ForbiddenLocation",
    "UnknownApproach",
    "UnknownModel",
    "InvalidOption",
    # --- storage
    "StoreError",
    "ObjectMissing",
    "AudioDeleted",
    "BucketMissing",
    "QueueMissing",
    "AccessDenied",
    "AudioForgotten",
    "InvalidKey",
    "PreconditionFailed",
    "SourceConflict",
    "ContentChanged",
    "StoreFull",
    # --- broker
    "BrokerError",
    "BrokerFull",
    "TopicMissing",
    "BrokerDenied",
    "BrokerUntrusted",
    "InstanceTaken",
    "SettlementLost",
    "SettlementRefused",
    "RegistryError",
    "RegistryDenied",
    "SchemaMissing",
    "SchemaRefused",
    # --- audio
    "MediaError",
    "AudioEmpty",
    "AudioUndecodable",
    "NoAudioTrack",
    "AudioTooLong",
    "AudioTooLarge",
    "ChunkError",
    "ChunksIncomplete",
    "ChunksTimedOut",
    "ChunksMixed",
    # --- engine
    "EngineError",
    "EngineCrashed",
    "EngineOutOfMemory",
    "EngineTimeout",
    "EngineUnavailable",
    "StageFailed",
    "ModelMissing",
    "ModelInvalid",
    # --- machine
    "CommandFailed",
    "FileUnreadable",
    "ScratchFull",
    # --- failure
    "FailureMissing",
    "FailureUnreadable",
    "NotRetryable",
    "AttemptsExhausted",
]
