"""What lfk refuses of a message or a location."""

from __future__ import annotations

from lfk.core.errors.base import LfkError


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
