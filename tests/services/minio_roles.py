"""Users of a MinIO server, each with one policy: for tests of what a role may do."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from tests.services.s3 import S3Server


@contextlib.contextmanager
def user_with(server: S3Server, policy: Mapping[str, Any]) -> Iterator[S3Server]:
    """The server with the keys of a user of its own that has just this policy; both are removed at the end."""
    from minio import MinioAdmin
    from minio.credentials import StaticProvider

    address = urlsplit(server.endpoint_url)
    admin = MinioAdmin(
        endpoint=address.netloc,
        credentials=StaticProvider(server.access_key, server.secret_key),
        secure=address.scheme == "https",
    )
    name, secret = f"u{secrets.token_hex(8)}", secrets.token_hex(16)
    admin.policy_add(name, policy=json.loads(json.dumps(policy)))
    try:
        admin.user_add(name, secret)
        try:
            admin.policy_set(name, user=name)
            yield replace(server, access_key=name, secret_key=secret)
        finally:
            admin.user_remove(name)
    finally:
        admin.policy_remove(name)
