"""Notifications from a queue: the real client against a server that speaks SQS's protocol."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from lfk.core.errors import AccessDenied, BrokerUnreachable, LfkError, QueueMissing, QueueUnreachable, UsageError
from lfk.roles.listen_events import Outcome
from lfk.stores.notifications import sqs
from lfk.stores.notifications.sqs import SqsNotifications
from lfk.stores.s3_connection import Connection, Endpoint
from tests.integration.listening import Rig
from tests.integration.queue_server import Message, QueueServer, queue_server
from tests.unit.test_notifications import bridged, record, sns
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def server() -> Iterator[QueueServer]:
    with queue_server() as server:
        yield server


def source(server: QueueServer, name: str = "", **endpoint: str) -> SqsNotifications:
    keys = {"access_key": "key", "secret_key": "secret"}
    return SqsNotifications(Connection(Endpoint(**{**keys, **endpoint})), name or server.queue_url)  # type: ignore[arg-type]


def rig_on(server: QueueServer, name: str = "") -> Rig:
    return Rig(source(server, name))


def upload(rig: Rig, key: str) -> None:
    rig.put(key)
    # What the rounds find by themselves is not what these tests are about.
    rig.store.put(rig.roots.transcripts.join(f"simple/tiny/{key}.json"), b"{}", content_type="application/json")


def at_audio(message: dict, bucket: str = "bucket") -> dict:  # type: ignore[type-arg]
    holder = message["Records"][0]["s3"] if "Records" in message else message["detail"]
    holder["bucket"]["name"] = bucket
    return message


def s3_event(key: str) -> dict:  # type: ignore[type-arg]
    return at_audio({"Records": [record(f"audio/{key}")]})


def test_all_the_forms_in_which_s3_tells_and_the_messages_are_deleted(server: QueueServer) -> None:
    rig = rig_on(server)
    for key in ("plain a.wav", "sns.wav", "b+%20.wav", "bridged in sns.wav"):
        upload(rig, key)
    server.send({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "bucket"})
    server.send(s3_event("plain+a.wav"))
    server.send(sns(s3_event("sns.wav")))
    server.send(at_audio(bridged("audio/b+%20.wav")))
    server.send(sns(at_audio(bridged("audio/bridged in sns.wav"))))
    server.send(at_audio({"Records": [record("audio/gone.wav")]}))
    server.send(at_audio({"Records": [record("elsewhere/x.wav")]}))
    with rig.running():
        wait_until(lambda: not server.messages)
    assert sorted(rig.sent) == ["b+%20.wav", "bridged in sns.wav", "plain a.wav", "sns.wav"]
    assert (rig.summary.counts[Outcome.GONE], rig.summary.counts[Outcome.OTHER]) == (1, 1)
    assert server.called("ReceiveMessage")[0] == {
        "QueueUrl": server.queue_url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 20, "VisibilityTimeout": 120,
    }  # fmt: skip


def test_a_queue_is_found_by_its_name(server: QueueServer) -> None:
    rig = Rig(SqsNotifications(
        Connection(Endpoint(access_key="key", secret_key="secret", region="eu-central-1")), "uploads",
        endpoint_url=server.endpoint_url,
    ))  # fmt: skip
    upload(rig, "a.wav")
    server.send(s3_event("a.wav"))
    with rig.running():
        wait_until(lambda: not server.messages)
    assert rig.sent == ["a.wav"]


def test_many_messages(server: QueueServer) -> None:
    rig = rig_on(server)
    for number in range(250):
        upload(rig, f"{number}.wav")
        server.send(s3_event(f"{number}.wav"))
    with rig.running():
        wait_until(lambda: not server.messages)
    assert sorted(rig.sent) == sorted(f"{number}.wav" for number in range(250))


def test_a_message_of_unknown_form_is_told_of_once_and_left_to_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqs, "_HIDDEN_SECONDS", 1)
    with queue_server(max_receives=3) as server:
        rig = rig_on(server)
        upload(rig, "a.wav")
        poison = server.send("not JSON at all")
        server.send(s3_event("a.wav"))
        with rig.running():
            wait_until(lambda: server.dead and not server.messages)
    assert [message.message_id for message in server.dead] == [poison.message_id]
    assert len(rig.of(Outcome.UNUSABLE)) == 1
    assert poison.message_id in rig.of(Outcome.UNUSABLE)[0].reason
    assert "a.wav" in rig.sent


def test_what_is_not_confirmed_stays_hidden_and_comes_again_after_an_outage(
    server: QueueServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lfk.roles.outages._LONGEST_SECONDS", 0.05)
    rig = rig_on(server)
    upload(rig, "a.wav")
    rig.publisher.outcome = BrokerUnreachable("gone")
    message = server.send(s3_event("a.wav"))
    with rig.running():
        wait_until(lambda: len(rig.pauses) >= 2)
        assert server.messages == [message]
        rig.publisher.outcome = None
        wait_until(lambda: not server.messages)
    assert rig.sent == ["a.wav"]
    # Given back at once, and not only after its time.
    returned = [entry for call in server.called("ChangeMessageVisibilityBatch") for entry in call["Entries"]]
    assert {entry["VisibilityTimeout"] for entry in returned} == {0}


def test_what_a_poll_brings_at_the_very_end_is_given_back(server: QueueServer) -> None:
    messages: list[Message] = []

    class Closing:
        """Closes when asked for the third time, which is when a poll is under way, and once that has been answered."""

        asked = 0

        @property
        def closed(self) -> bool:
            self.asked += 1
            if self.asked == 3:
                messages.append(server.send(s3_event("a.wav")))
                wait_until(lambda: messages[0].received)
                # The answer is on its way to the one who polls.
                time.sleep(0.5)
            return self.asked >= 3

        def offer(self, delivery: object, timeout: float | None = None) -> bool:
            return False

        def refused(self, reason: str) -> None: ...

        def missed(self) -> None: ...

    with source(server) as queue:
        queue.run(Closing())
        assert messages[0].visible_at < time.monotonic()


def test_what_takes_long_is_kept_hidden(server: QueueServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqs, "_HIDDEN_SECONDS", 2)
    monkeypatch.setattr(sqs, "_RENEW_SECONDS", 0.5)
    confirmations: list = []  # type: ignore[type-arg]
    rig = rig_on(server)
    upload(rig, "a.wav")

    def send(record: object, confirmed: object) -> None:
        confirmations.append(confirmed)

    monkeypatch.setattr(rig.publisher, "send", send)
    message = server.send(s3_event("a.wav"))
    with rig.running():
        wait_until(lambda: len(server.called("ChangeMessageVisibilityBatch")) >= 6)
        assert (message.received, server.messages) == (1, [message])
        confirmations[0](None)
        wait_until(lambda: not server.messages)


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (400, "AWS.SimpleQueueService.NonExistentQueue", QueueMissing),
        (403, "AccessDenied", AccessDenied),
        (400, "AccessDeniedException", AccessDenied),
        (403, "InvalidClientTokenId", AccessDenied),
        (400, "UnsupportedOperation", UsageError),
    ],
)
def test_what_the_queue_refuses_ends_it_with_a_clear_error(
    server: QueueServer, status: int, code: str, error: type[LfkError]
) -> None:
    server.refusals["GetQueueUrl"] = (status, code)
    rig = Rig(SqsNotifications(
        Connection(Endpoint(access_key="key", secret_key="secret")), "uploads", endpoint_url=server.endpoint_url
    ))  # fmt: skip
    with pytest.raises(error) as refusal:
        rig.listener().run()
    assert code in refusal.value.message
    assert refusal.value.exit_code == 2


def test_a_queue_that_is_away_is_waited_for(server: QueueServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lfk.roles.outages._LONGEST_SECONDS", 0.05)
    monkeypatch.setattr(sqs, "ATTEMPTS", 1)
    server.refusals["ReceiveMessage"] = (503, "ServiceUnavailable")
    rig = rig_on(server)
    upload(rig, "a.wav")
    server.send(s3_event("a.wav"))
    with rig.running():
        wait_until(lambda: rig.pauses)
        del server.refusals["ReceiveMessage"]
        wait_until(lambda: not server.messages)
    assert isinstance(rig.pauses[0].error, QueueUnreachable)
    assert rig.sent == ["a.wav"]


@pytest.mark.parametrize("name", ["", "uploads"])
def test_settings_that_name_no_queue_are_a_usage_error(name: str) -> None:
    nowhere = SqsNotifications(Connection(Endpoint(access_key="key", secret_key="secret")), name)
    with pytest.raises(UsageError), nowhere:
        pass


def test_the_region_is_read_off_the_url() -> None:
    url = "https://sqs.eu-central-1.amazonaws.com/111122223333/uploads"
    with SqsNotifications(Connection(Endpoint(access_key="key", secret_key="secret")), url) as of_aws:
        assert of_aws._client.meta.region_name == "eu-central-1"
        assert of_aws._client.meta.endpoint_url == "https://sqs.eu-central-1.amazonaws.com"
