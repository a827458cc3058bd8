"""How the gateway answers: a reference to a joined audio, a failed announcement, a dead letter for what is no chunk."""

from __future__ import annotations

from lfk.brokers.base import Delivered, Partition, Record
from lfk.brokers.codec import Codec
from lfk.core.chunks import EVENT_SOURCE
from lfk.core.errors import LfkError, RejectedReference
from lfk.core.messages import AudioReference
from lfk.roles.chunks.audio import Audio, Joined
from lfk.roles.chunks.partitions import Answer
from lfk.roles.hub.answers import Topics, announcement_record, dead_letter, failed_announcement, receive
from lfk.roles.hub.job import Job
from lfk.roles.sender import reference_record


class Answers:
    """Makes answers; settling them is somebody else's business."""

    def __init__(self, codec: Codec, topic: str, topics: Topics) -> None:
        """``topic`` gets references, ``topics`` all other answers."""
        self._codec = codec
        self._topic = topic
        self._topics = topics

    def refused(self, record: Delivered, error: LfkError) -> Answer:
        """A record that is no chunk."""
        job, _due = receive(record)
        job.stage = "parse"
        partition = record.partition
        outcome = Joined(f"{partition.topic}/{partition.number}@{record.offset}", 0, 0, error=error)
        records = [dead_letter(job, error, 1, self._topics), self._failed(job, error)]
        return Answer(partition, [record.offset], records, outcome)

    def failed(self, partition: Partition, audio: Audio, error: LfkError) -> Answer:
        """An audio of which nothing becomes."""
        return Answer(partition, audio.offsets, [self._failed(audio.job, error)], _outcome(audio, error))

    def referred(self, partition: Partition, audio: Audio, reference: AudioReference) -> Answer:
        """An audio that is stored."""
        assert audio.job.address is not None, "it was addressed with its first chunk"  # noqa: S101
        location = audio.job.address.location
        try:
            record = reference_record(
                self._codec, self._topic, EVENT_SOURCE, location, reference, audio.job.record.headers
            )
        except RejectedReference as error:
            return self.failed(partition, audio, error)
        return Answer(partition, audio.offsets, [record], _outcome(audio, None))

    def _failed(self, job: Job, error: LfkError) -> Record:
        announcement = failed_announcement(job, error, 1)
        record = announcement_record(announcement, job, self._codec, self._topics)
        headers = {**record.headers, "ce_source": EVENT_SOURCE.encode("ascii")}
        return Record(record.topic, record.key, record.value, headers)


def _outcome(audio: Audio, error: LfkError | None) -> Joined:
    address = audio.job.address
    location = address.location if address is not None and error is None else None
    return Joined(audio.key[0], audio.assembly.chunks, audio.assembly.received, location, error)
