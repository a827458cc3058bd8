"""Notifications from a queue of SQS: S3's own events, bare, through SNS or through EventBridge.

A message is deleted once every reference that it led to is confirmed, and comes again otherwise; while that takes time
it is kept hidden from other listeners. A message of an unknown form is never deleted, as it may be somebody else's: it
is told of once and left to the queue's redrive policy, or to the end of its retention.
"""

from __future__ import annotations

import logging
import queue
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from botocore import exceptions as vendor
from botocore.config import Config
from botocore.parsers import ResponseParserError

from lfk.core.errors import AccessDenied, LfkError, MalformedMessage, QueueMissing, QueueUnreachable, UsageError
from lfk.core.notifications import read_notification
from lfk.stores.notifications.base import Delivery, Intake
from lfk.stores.s3_connection import ATTEMPTS, CONNECT_SECONDS, Connection
from lfk.stores.s3_errors import code_of, status_of

log = logging.getLogger(__name__)

#: The longest that SQS holds a request back while there is nothing to tell; each request costs money.
_POLL_SECONDS = 20
#: An answer comes within the poll, and a little.
_READ_SECONDS = _POLL_SECONDS + 10.0
#: The most that SQS gives or takes at a time.
_BATCH = 10
#: How long a message is hidden from others: after a crash it comes again as late as this.
_HIDDEN_SECONDS = 120
#: A message that is still held after this is hidden anew, twice as early as it has to be.
_RENEW_SECONDS = _HIDDEN_SECONDS / 2
#: Messages held at a time: what is on its way to the broker, no more.
_HELD_LIMIT = 100
#: How often the owner looks up from waiting.
_TICK_SECONDS = 0.25
#: Messages of unknown form that were told of; they come again and again.
_TOLD_LIMIT = 10_000

_AWS_HOST = re.compile(r"(?:^|\.)sqs\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?$|^([a-z0-9-]+)\.queue\.amazonaws\.com$")
_MISSING = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "NonExistentQueue"})
_DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAddress",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "KmsAccessDenied",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "OptInRequired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_PASSING = frozenset(
    {"KmsThrottled", "OverLimit", "RequestThrottled", "ServiceUnavailable", "Throttling", "ThrottlingException"}
)
_ACCESS_HINT = (
    "allow sqs:GetQueueUrl, ReceiveMessage, DeleteMessage and ChangeMessageVisibility on that queue; see docs/listen.md"
)


class SqsNotifications:
    """See :class:`lfk.stores.notifications.base.Source`; one queue, by its URL or name."""

    def __init__(self, connection: Connection, name: str, *, endpoint_url: str | None = None) -> None:
        """``connection`` lends its keys; ``endpoint_url`` is of a server that is not AWS's."""
        self._connection = connection
        self._name = name
        self._endpoint_url = endpoint_url
        self._client: Any = None
        self._told: OrderedDict[str, None] = OrderedDict()
        self.address = name

    def __enter__(self) -> SqsNotifications:
        if not self._name:
            raise UsageError("no queue is named", hint="name its URL with --queue, or set LFK_LISTEN_QUEUE")
        host = urlsplit(self._name).hostname or ""
        aws = _AWS_HOST.search(host)
        parts = urlsplit(self._name)
        # The URL of a queue tells where it is, if nothing else does.
        endpoint_url = self._endpoint_url or (f"{parts.scheme}://{parts.netloc}" if host and not aws else None)
        region = self._connection.endpoint.region or (aws and (aws.group(1) or aws.group(2))) or None
        self._client = _make_client(self._connection, endpoint_url, region)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            self._client.close()

    def check(self) -> str:
        account, _slash, name = urlsplit(self._name).path.strip("/").rpartition("/")
        # The URL of somebody else's queue names its account.
        owner = {"QueueOwnerAWSAccountId": account} if account.isdigit() else {}
        with _border(self._name):
            self._client.get_queue_url(QueueName=name, **owner)
        return f"{self._name} is there"

    def run(self, intake: Intake) -> None:
        with _border(self._name):
            url = self._name
            if "://" not in url:
                url = str(self._client.get_queue_url(QueueName=url)["QueueUrl"])
            _Post(self._client, url, intake, self._tell_once).serve()

    def _tell_once(self, message_id: str) -> bool:
        """Whether this message has not been told of."""
        if message_id in self._told:
            return False
        self._told[message_id] = None
        if len(self._told) > _TOLD_LIMIT:
            self._told.popitem(last=False)
        return True


@dataclass(slots=True)
class _Held:
    """A message that was handed over; ``receipt`` is what SQS knows this delivery of it by."""

    receipt: str
    renew: float


class _Post:
    """One run: the caller's thread owns what is held; another one waits for messages, as that takes long."""

    def __init__(self, client: Any, url: str, intake: Intake, tell_once: Callable[[str], bool]) -> None:
        self._client = client
        self._url = url
        self._intake = intake
        self._tell_once = tell_once
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._held: dict[str, _Held] = {}
        self._finished: list[str] = []
        self._returned: list[str] = []
        self._asked = threading.Semaphore(0)
        self._asking = False
        self._over = threading.Event()
        #: Held while it is decided who gives back what a poll brings.
        self._ending = threading.Lock()

    def serve(self) -> None:
        """Until the intake is closed and nothing is held."""
        threading.Thread(target=self._receive, name="lfk-sqs", daemon=True).start()
        heard = False
        try:
            while self._held or not self._intake.closed:
                if not (self._asking or self._intake.closed) and len(self._held) < _HELD_LIMIT:
                    self._asking = True
                    self._asked.release()
                    if not heard:
                        heard = True
                        self._intake.missed()
                self._step(_TICK_SECONDS)
        finally:
            # A poll under way cannot be broken off; what it still brings is given back by its thread.
            with self._ending:
                self._over.set()
            self._asked.release()
        # What it brought just before that is given back here.
        self._step(0.0)

    def _step(self, timeout: float) -> None:
        """Handle what has come, then bring the queue up to date."""
        try:
            self._calls.get(timeout=timeout)()
            while True:
                self._calls.get_nowait()()
        except queue.Empty:
            self._settle()

    def _settle(self) -> None:
        while self._finished:
            batch, self._finished = self._finished[:_BATCH], self._finished[_BATCH:]
            answer = self._client.delete_message_batch(QueueUrl=self._url, Entries=_entries(batch))
            for failed in answer.get("Failed", ()):
                log.warning("a message of %s was not deleted and will come again: %s", self._url, failed.get("Code"))
        while self._returned:
            batch, self._returned = self._returned[:_BATCH], self._returned[_BATCH:]
            self._hide(batch, 0)
        due = [held for held in self._held.values() if held.renew <= time.monotonic()]
        for first in range(0, len(due), _BATCH):
            batch = [held.receipt for held in due[first : first + _BATCH]]
            self._hide(batch, _HIDDEN_SECONDS)
        for held in due:
            held.renew = time.monotonic() + _RENEW_SECONDS

    def _hide(self, receipts: Sequence[str], seconds: int) -> None:
        self._client.change_message_visibility_batch(
            QueueUrl=self._url, Entries=[{**entry, "VisibilityTimeout": seconds} for entry in _entries(receipts)]
        )

    def _take(self, messages: Sequence[dict[str, Any]]) -> None:
        self._asking = False
        for message in messages:
            known = self._held.get(message["MessageId"])
            if known is not None:
                # Its time was over before it was hidden anew; what counts is the latest receipt.
                known.receipt = message["ReceiptHandle"]
                continue
            try:
                notification = read_notification(message["Body"])
            except MalformedMessage as error:
                if self._tell_once(message["MessageId"]):
                    self._intake.refused(f"message {message['MessageId']} of the queue: {error.message}")
                continue
            self._hand_over(message, Delivery(notification, self._told_of(message["MessageId"])))

    def _hand_over(self, message: dict[str, Any], delivery: Delivery) -> None:
        self._held[message["MessageId"]] = _Held(message["ReceiptHandle"], time.monotonic() + _RENEW_SECONDS)
        while not self._intake.offer(delivery, _TICK_SECONDS):
            if self._intake.closed:
                self._ended(message["MessageId"], False)
                return
            # The wait may be long, and what is held must stay hidden.
            self._settle()

    def _told_of(self, message_id: str) -> Callable[[bool], None]:
        return lambda done: self._calls.put(lambda: self._ended(message_id, done))

    def _ended(self, message_id: str, done: bool) -> None:
        receipt = self._held.pop(message_id).receipt
        (self._finished if done else self._returned).append(receipt)

    def _receive(self) -> None:
        """On a thread of its own: poll whenever asked to."""
        while True:
            self._asked.acquire()
            if self._over.is_set():
                return
            try:
                answer = self._client.receive_message(
                    QueueUrl=self._url,
                    MaxNumberOfMessages=_BATCH,
                    WaitTimeSeconds=_POLL_SECONDS,
                    VisibilityTimeout=_HIDDEN_SECONDS,
                )
                messages = answer.get("Messages", [])
                with self._ending:
                    over = self._over.is_set()
                    if not over:
                        self._calls.put(partial(self._take, messages))
                if over and messages:
                    self._hide([message["ReceiptHandle"] for message in messages], 0)
            except Exception as error:  # noqa: BLE001 - raised again by the owner
                self._calls.put(_raiser(error))


def _raiser(error: Exception) -> Callable[[], None]:
    def again() -> None:
        raise error

    return again


def _entries(receipts: Sequence[str]) -> list[dict[str, Any]]:
    return [{"Id": str(number), "ReceiptHandle": receipt} for number, receipt in enumerate(receipts)]


def _make_client(connection: Connection, endpoint_url: str | None, region: str | None) -> Any:
    endpoint = connection.endpoint
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        tcp_keepalive=True,
    )
    try:
        return connection.session.create_client(
            "sqs",
            region_name=region or ("us-east-1" if endpoint_url else None),
            endpoint_url=endpoint_url,
            aws_access_key_id=endpoint.access_key,
            aws_secret_access_key=endpoint.secret_key,
            aws_session_token=endpoint.session_token,
            config=config,
        )
    except (vendor.BotoCoreError, ValueError) as error:
        raise UsageError(
            f"the SQS settings cannot be used: {error}",
            hint="check AWS_REGION, AWS_ENDPOINT_URL_SQS and AWS_PROFILE, or name the queue by its URL",
        ) from error


@contextmanager
def _border(name: str) -> Iterator[None]:
    """Maps every botocore exception raised inside; the cause is kept."""
    try:
        yield
    except vendor.ClientError as error:
        raise _refused(error, name) from error
    except (vendor.NoCredentialsError, vendor.PartialCredentialsError, vendor.CredentialRetrievalError) as error:
        raise AccessDenied(f"{name}: no usable credentials ({type(error).__name__})", hint=_ACCESS_HINT) from error
    except (vendor.BotoCoreError, ResponseParserError) as error:
        raise QueueUnreachable(f"{name}: no answer ({type(error).__name__})") from error


def _refused(error: vendor.ClientError, name: str) -> LfkError:
    code, status = code_of(error), status_of(error)
    message = ascii(str(error.response.get("Error", {}).get("Message", "")))[1:-1][:200]
    text = f"{name}: SQS answered {code}" + (f" ({message})" if message else "")
    if code in _MISSING:
        return QueueMissing(text)
    if code in _DENIED or status in (401, 403):
        return AccessDenied(text, hint=_ACCESS_HINT)
    if code in _PASSING or status >= 500 or status == 429:
        return QueueUnreachable(text)
    return UsageError(text, hint="check LFK_LISTEN_QUEUE and AWS_ENDPOINT_URL_SQS")
