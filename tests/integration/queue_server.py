"""A small SQS: the JSON protocol that the real client speaks, with receipts, visibility and a redrive policy."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: SQS holds a poll back for up to 20 s; here a test decides.
_LONGEST_POLL = 0.3


@dataclass
class Message:
    """One message and what has become of it."""

    body: str
    message_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    receipt: str = ""
    visible_at: float = 0.0
    received: int = 0


class QueueServer(ThreadingHTTPServer):
    """One queue called ``uploads``."""

    daemon_threads = True

    def __init__(self, max_receives: int = 1000) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lock = threading.Lock()
        self.messages: list[Message] = []
        self.dead: list[Message] = []
        self.max_receives = max_receives
        self.calls: list[tuple[str, dict[str, Any]]] = []
        #: What to answer instead, by operation: status, the code of queries and the message.
        self.refusals: dict[str, tuple[int, str]] = {}

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def queue_url(self) -> str:
        return f"{self.endpoint_url}/000000000000/uploads"

    def send(self, body: object) -> Message:
        message = Message(body if isinstance(body, str) else json.dumps(body))
        with self.lock:
            self.messages.append(message)
        return message

    def called(self, operation: str) -> list[dict[str, Any]]:
        return [given for name, given in self.calls if name == operation]

    # --- the operations

    def answer(self, operation: str, given: dict[str, Any]) -> tuple[int, dict[str, Any], str]:
        self.calls.append((operation, given))
        if operation in self.refusals:
            status, code = self.refusals[operation]
            return status, {"__type": f"com.amazonaws.sqs#{code.rpartition('.')[2]}", "message": "no"}, code
        if operation != "GetQueueUrl" and given["QueueUrl"] != self.queue_url:
            return 400, {"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "no such queue"}, _MISSING
        return 200, getattr(self, operation)(given), ""

    def GetQueueUrl(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"QueueUrl": self.queue_url}

    def ReceiveMessage(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        until = time.monotonic() + min(given.get("WaitTimeSeconds", 0), _LONGEST_POLL)
        while True:
            found = self._receive(given["MaxNumberOfMessages"], given["VisibilityTimeout"])
            if found or time.monotonic() >= until:
                return {"Messages": found} if found else {}
            time.sleep(0.01)

    def _receive(self, most: int, hidden: float) -> list[dict[str, str]]:
        found = []
        with self.lock:
            for message in list(self.messages):
                if message.visible_at > time.monotonic() or len(found) == most:
                    continue
                if message.received >= self.max_receives:
                    self.messages.remove(message)
                    self.dead.append(message)
                    continue
                message.received += 1
                message.receipt = uuid.uuid4().hex
                message.visible_at = time.monotonic() + hidden
                found.append({"MessageId": message.message_id, "ReceiptHandle": message.receipt, "Body": message.body})
        return found

    def DeleteMessageBatch(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return self._each(given, lambda message, _entry: self.messages.remove(message))

    def ChangeMessageVisibilityBatch(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        def change(message: Message, entry: dict[str, Any]) -> None:
            message.visible_at = time.monotonic() + entry["VisibilityTimeout"]

        return self._each(given, change)

    def _each(self, given: dict[str, Any], act: Any) -> dict[str, Any]:
        successful, failed = [], []
        with self.lock:
            for entry in given["Entries"]:
                message = next((one for one in self.messages if one.receipt == entry["ReceiptHandle"]), None)
                if message is None:
                    failed.append({"Id": entry["Id"], "SenderFault": True, "Code": "ReceiptHandleIsInvalid"})
                else:
                    act(message, entry)
                    successful.append({"Id": entry["Id"]})
        return {"Successful": successful, "Failed": failed}


_MISSING = "AWS.SimpleQueueService.NonExistentQueue"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: QueueServer

    def do_POST(self) -> None:
        given = json.loads(self.rfile.read(int(self.headers["content-length"])))
        operation = self.headers["x-amz-target"].removeprefix("AmazonSQS.")
        assert self.headers["authorization"].startswith("AWS4-HMAC-SHA256 ")
        status, answer, code = self.server.answer(operation, given)
        body = json.dumps(answer).encode()
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(body)))
            if code:
                self.send_header("x-amzn-query-error", f"{code};Sender")
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Tests look at the calls instead."""


@contextlib.contextmanager
def queue_server(**options: Any) -> Iterator[QueueServer]:
    """A server for as long as the block lasts."""
    server = QueueServer(**options)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
