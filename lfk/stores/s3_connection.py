"""Makes botocore clients for one S3 endpoint: once, when first used, with time-outs that suit a pipeline.

botocore is what boto3 is built on; used directly it starts a third faster, as boto3's resource and transfer layers stay
unloaded. Keys that are not given come from AWS's own chain (environment, profile, container or instance role); where
nothing answers for an instance role, that chain gives up after two seconds.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials
from botocore.loaders import Loader, create_loader
from botocore.session import Session

from lfk.stores.s3_errors import s3_configuration

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: A reachable server accepts a connection within a round trip; more than this is an outage, and roles wait those out.
CONNECT_SECONDS = 5.0
#: Between two bytes of an answer. Stores answer in milliseconds, busy ones within seconds; a hub pauses while its store
#: is away, so it must learn of that in less than the 45 s after which Kafka would take its partitions.
READ_SECONDS = 30.0
#: Completing a multipart upload may copy the whole object before the first byte of the answer.
COMPLETE_SECONDS = 900.0
#: One repetition for a connection that went stale and one for a busy moment; longer outages are the caller's matter.
ATTEMPTS = 3

_AWS_HOSTS = (".amazonaws.com", ".amazonaws.com.cn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where an S3 store is and how to speak with it; None means that botocore decides."""

    endpoint_url: str | None = None
    region: str | None = None
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    #: auto (path style for any endpoint that is not AWS's), path or virtual.
    addressing: str = "auto"
    #: Connections kept open.
    connections: int = 16


class Connection:
    """The clients of one endpoint. Safe for use by several threads."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._lock = threading.RLock()
        self._session: Session | None = None
        self._clients: dict[tuple[float, int, str], S3Client] = {}

    @property
    def client(self) -> S3Client:
        """The general client."""
        return self._client(READ_SECONDS, ATTEMPTS, self.endpoint.addressing)

    @property
    def link_client(self) -> S3Client:
        """For presigned links. By default botocore's name AWS's global endpoint, which for a while after a bucket was
        made redirects to its region, and a signature does not survive that."""
        host = urlsplit(self.client.meta.endpoint_url).hostname or ""
        if self.endpoint.addressing == "auto" and host.endswith(_AWS_HOSTS):
            return self._client(READ_SECONDS, ATTEMPTS, "virtual")
        return self.client

    @property
    def patient_client(self) -> S3Client:
        """For the one request that may take minutes; asks once, as its repetition would find the work done."""
        return self._client(COMPLETE_SECONDS, 1, self.endpoint.addressing)

    @property
    def session(self) -> Session:
        """botocore's session: profile, credentials, trust."""
        with self._lock:
            if self._session is None:
                with s3_configuration():
                    self._session = _open_session()
            return self._session

    def credentials(self) -> ReadOnlyCredentials | None:
        """The keys to sign with now, renewed where they expire; None if there are none."""
        endpoint = self.endpoint
        if endpoint.access_key and endpoint.secret_key:
            return ReadOnlyCredentials(endpoint.access_key, endpoint.secret_key, endpoint.session_token)
        with s3_configuration():
            found = self.session.get_credentials()
            return None if found is None else found.get_frozen_credentials()

    def _client(self, read_seconds: float, attempts: int, addressing: str) -> S3Client:
        asked = (read_seconds, attempts, addressing)
        with self._lock:
            client = self._clients.get(asked)
            if client is None:
                with s3_configuration():
                    client = self._clients[asked] = self._make(*asked)
            return client

    def _make(self, read_seconds: float, attempts: int, addressing: str) -> S3Client:
        endpoint = self.endpoint
        config = Config(
            signature_version="s3v4",
            connect_timeout=CONNECT_SECONDS,
            read_timeout=read_seconds,
            retries={"mode": "standard", "total_max_attempts": attempts},
            max_pool_connections=endpoint.connections,
            tcp_keepalive=True,
            # lfk sends checksums of its own where the store takes them, and hashes what it fetches.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": cast(Any, addressing)},
        )
        # Servers that are not AWS's have no regions, but a signature names one.
        region = endpoint.region or ("us-east-1" if endpoint.endpoint_url else None)
        client = self.session.create_client(
            "s3",
            region_name=region,
            endpoint_url=endpoint.endpoint_url,
            aws_access_key_id=endpoint.access_key,
            aws_secret_access_key=endpoint.secret_key,
            aws_session_token=endpoint.session_token,
            config=config,
        )
        return cast("S3Client", client)


class _OurModels(Loader):
    """Finds the services that are used without looking through the folders of the four hundred others."""

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002
        return ["s3", "sqs"]


def _open_session() -> Session:
    session = Session()
    folders = create_loader(session.get_config_variable("data_path")).search_paths
    session.register_component(
        "data_loader", _OurModels(extra_search_paths=folders, include_default_search_paths=False)
    )
    return session
