"""What all S3 servers of the tests have in common: an address, and a way to ask whether they answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: A server on this machine answers within milliseconds; a test that waits longer has found a fault.
_TIMEOUT = 10


@dataclass(frozen=True)
class S3Server:
    """Where an S3 server is, and its keys."""

    name: str
    endpoint_url: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"

    def client(self) -> S3Client:
        """A boto3 client that tells the test at once what went wrong."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(
                connect_timeout=_TIMEOUT,
                read_timeout=_TIMEOUT,
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path"},
            ),
        )

    def environment(self) -> dict[str, str]:
        """The variables that point lfk, or anything that reads AWS's names, at this server."""
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
        }


def from_environment(name: str, variable: str, environ: Mapping[str, str]) -> S3Server | None:
    """``<variable>`` is an endpoint; ``<variable>_ACCESS_KEY``, ``_SECRET_KEY`` and ``_REGION`` go with it."""
    endpoint = environ.get(variable)
    if not endpoint:
        return None
    return S3Server(
        name,
        endpoint,
        environ.get(f"{variable}_ACCESS_KEY", ""),
        environ.get(f"{variable}_SECRET_KEY", ""),
        environ.get(f"{variable}_REGION") or "us-east-1",
    )


def s3_answers(server: S3Server) -> Callable[[], bool]:
    """Whether the server lists its buckets for these keys."""
    from botocore.exceptions import BotoCoreError, ClientError

    client = server.client()

    def answers() -> bool:
        try:
            client.list_buckets()
        except (BotoCoreError, ClientError):
            return False
        return True

    return answers
