"""A short way for the requests that come by the thousand: look, read, list, and write in one piece.

botocore spends one to seventy milliseconds of processor time on each such request (a page of a listing costs most).
Signing with its own signer and sending through its own connection pool costs a third to a sixth of that, as
bench/stores.py measures. The lane understands success, "not there" and "condition not met". Whatever else happens — a
redirect, a refusal, a busy server, a broken connection — it says nothing, and the caller asks the general client, which
knows about regions, repetitions and error answers. Where the lane keeps being refused, it closes for good.
"""

from __future__ import annotations

import hashlib
import logging
import re
import socket
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, cast
from urllib.parse import quote, urlencode
from xml.etree import ElementTree

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest, AWSResponse
from botocore.exceptions import BotoCoreError, ClientError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies
from urllib3 import HTTPResponse
from urllib3.exceptions import HTTPError

from lfk.stores.s3_connection import CONNECT_SECONDS, READ_SECONDS, Connection

log = logging.getLogger(__name__)

#: The sha256 of nothing: the payload of every request without a body.
EMPTY_SHA256 = hashlib.sha256().hexdigest()
#: For bodies that carry a checksum of their own, which is signed like every header.
UNSIGNED = "UNSIGNED-PAYLOAD"
#: Refusals in a row after which the lane closes: one may be about a single object, three are about the lane.
_REFUSALS = 3
#: A body follows its headers at once. Without this it waits for the server to confirm them, which systems put off for
#: 40 ms; botocore's session leaves it to its caller.
_SOCKET_OPTIONS = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
_SCOPE = re.compile(r"Credential=[^,]*/([^/,]+)/s3/aws4_request")
#: An error answer is a few hundred bytes of XML.
_ERROR_LIMIT = 64 << 10


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer; header names are in lower case, ``body`` is None if it is over the limit."""

    headers: Mapping[str, str]
    body: bytes | None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a bucket is: the URL that a key is appended to, and the region that signatures name."""

    url: str
    region: str


class _Signer(S3SigV4Auth):
    """Signs for a payload whose hash is known, so that nobody hashes it again."""

    def payload(self, request: AWSRequest) -> str:
        return str(request.context["lfk-payload"])


class Lane:
    """Sends single requests. Safe for use by several threads."""

    def __init__(self, connection: Connection, *, is_open: bool = True) -> None:
        self._connection = connection
        self._places: dict[str, _Place | None] = {}
        self._session: URLLib3Session | None = None
        self._lock = threading.Lock()
        self._refusals = 0 if is_open else _REFUSALS

    def send(
        self,
        method: str,
        bucket: str,
        key: str = "",
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        payload: str = EMPTY_SHA256,
        limit: int = 0,
    ) -> Answer | None:
        """One request; None where the general client should be asked.

        Args:
            payload: the sha256 of ``body`` in hex, or ``UNSIGNED``.
            limit: the most bytes of an answer's body that are wanted.

        Raises:
            ClientError: the server says that the object is not there (404) or a condition does not hold (412).
        """
        credentials = self._connection.credentials() if self._refusals < _REFUSALS else None
        place = self._place(bucket) if credentials is not None else None
        if place is None or credentials is None:
            return None
        url = place.url + quote(key, safe="/~")
        if query:
            url += "?" + urlencode(sorted(query.items()), quote_via=quote, safe="")
        request = AWSRequest(method, url, headers=dict(headers or {}), data=body, stream_output=True)
        request.context["lfk-payload"] = payload
        _Signer(credentials, "s3", place.region).add_auth(request)
        try:
            response = self._open(url).send(request.prepare())
            return self._understand(method, response, limit)
        except (BotoCoreError, HTTPError) as error:
            log.debug("%s %s: %s; asking in the general way", method, url, type(error).__name__)
            return None

    def _understand(self, method: str, response: AWSResponse, limit: int) -> Answer | None:
        status = response.status_code
        headers = {name.lower(): value for name, value in response.headers.items()}
        whole = 200 <= status < 300
        answer = _whole(response, headers, limit if whole else _ERROR_LIMIT, has_body=method != "HEAD")
        if whole:
            self._refusals = 0
            return answer
        if status in (404, 412):
            error = _error(method, status, answer)
            if error is not None:
                self._refusals = 0
                raise error
        elif status < 500:
            self._refusals += 1
        return None

    def _open(self, url: str) -> URLLib3Session:
        with self._lock:
            if self._session is None:
                self._session = URLLib3Session(
                    verify=self._connection.session.get_config_variable("ca_bundle") or True,
                    proxies=get_environ_proxies(url),
                    timeout=cast(Any, (CONNECT_SECONDS, READ_SECONDS)),
                    max_pool_connections=self._connection.endpoint.connections,
                    socket_options=cast(Any, _SOCKET_OPTIONS),
                )
            return self._session

    def _place(self, bucket: str) -> _Place | None:
        if bucket not in self._places:
            self._places[bucket] = self._locate(bucket)
        return self._places[bucket]

    def _locate(self, bucket: str) -> _Place | None:
        """Where botocore itself sends requests, read off one that is caught before it leaves."""
        key = uuid.uuid4().hex
        caught: list[AWSPreparedRequest] = []

        def catch(request: AWSPreparedRequest, **_event: object) -> AWSResponse | None:
            if key not in request.url:
                return None
            caught.append(request)
            return AWSResponse(request.url, 200, cast(Any, {}), HTTPResponse(BytesIO(), preload_content=False))

        client = self._connection.client
        handler = cast(Any, catch)
        client.meta.events.register("before-send.s3.HeadObject", handler)
        try:
            client.head_object(Bucket=bucket, Key=key)
        finally:
            client.meta.events.unregister("before-send.s3.HeadObject", handler)
        request = caught[0]
        scope = _SCOPE.search(str(request.headers.get("Authorization", "")))
        if scope is None:
            return None  # directory buckets and others with signatures of their own
        return _Place(request.url.removesuffix(key), scope.group(1))


def _whole(response: AWSResponse, headers: Mapping[str, str], limit: int, *, has_body: bool) -> Answer | None:
    length = int(headers.get("content-length") or -1) if has_body else 0
    body = response.raw.read(limit + 1) if length <= limit else None
    if body is None or len(body) > limit:
        response.raw.close()
        return Answer(headers, None)
    response.raw.release_conn()
    # botocore's session leaves it to its caller to notice a body that ended early.
    return Answer(headers, body) if length in (-1, len(body)) else None


def _error(method: str, status: int, answer: Answer | None) -> ClientError | None:
    code, message = str(status), ""
    if method != "HEAD":
        try:
            # Expat, which botocore parses the same answers with, bounds what entities may expand to.
            tree = ElementTree.fromstring(answer.body or b"") if answer is not None else None  # noqa: S314
        except ElementTree.ParseError:
            tree = None
        if tree is None or tree.tag != "Error":
            return None
        code, message = tree.findtext("Code") or code, tree.findtext("Message") or ""
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        method,
    )
