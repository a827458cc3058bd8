"""The border between botocore's exceptions and ours: by error code, HTTP status and class, never by text.

Most specific first: the server's own code, then its status, then the class of what went wrong on the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore import exceptions as vendor
from botocore.parsers import ResponseParserError

from lfk.core.errors import (
    AccessDenied,
    BucketMissing,
    InvalidKey,
    LfkError,
    ObjectMissing,
    PreconditionFailed,
    StoreError,
    StoreFull,
    StoreUnreachable,
    UsageError,
)
from lfk.core.location import Location

#: Codes of AWS, MinIO and others that say why a request was refused.
_CODES: dict[type[LfkError], tuple[str, ...]] = {
    # The answer to a HEAD has no body to name a code in, so its status stands for it.
    ObjectMissing: ("404", "NoSuchKey", "NoSuchVersion"),
    BucketMissing: ("NoSuchBucket",),
    AccessDenied: (
        "AccessDenied",
        "AccessForbidden",
        "AccountProblem",
        "AllAccessDisabled",
        "ExpiredToken",
        "Forbidden",
        "InvalidAccessKeyId",
        "InvalidObjectState",
        "InvalidSecurity",
        "InvalidToken",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "UnauthorizedAccess",
        "XAdminUserNotFound",
    ),
    # Also what becomes of an upload whose parts somebody else swept away or replaced.
    PreconditionFailed: (
        "ConditionalRequestConflict",
        "InvalidPart",
        "NoSuchUpload",
        "OperationAborted",
        "PreconditionFailed",
    ),
    StoreFull: (
        "QuotaExceeded",
        "XMinioAdminBucketQuotaExceeded",
        "XMinioStorageFull",
    ),
    InvalidKey: (
        "DirectoryObjectContainsData",
        "ExistingObjectIsDirectory",
        "InvalidURI",
        "KeyTooLong",
        "KeyTooLongError",
        "MetadataTooLarge",
        "ObjectParentIsFile",
        "XMinioInvalidObjectName",
        "XMinioInvalidResourceName",
        "XMinioObjectExistsAsDirectory",
        "XMinioParentIsObject",
    ),
    # What arrived is not what was sent: the way is at fault, and the next attempt may do better.
    StoreUnreachable: (
        "BadDigest",
        "ClientDisconnected",
        "IncompleteBody",
        "InternalError",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "SlowDown",
        "SlowDownRead",
        "SlowDownWrite",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "XAmzContentChecksumMismatch",
        "XAmzContentSHA256Mismatch",
        "XMinioServerNotInitialized",
    ),
}
_BY_CODE = {code: cls for cls, codes in _CODES.items() for code in codes}
_BY_STATUS: dict[int, type[LfkError]] = {
    401: AccessDenied,
    403: AccessDenied,
    408: StoreUnreachable,
    412: PreconditionFailed,
    429: StoreUnreachable,
    507: StoreFull,
}
_HINTS = {
    "AuthorizationHeaderMalformed": "the bucket is in another region: set AWS_REGION to it",
    "ExpiredToken": "renew the temporary credentials (AWS_SESSION_TOKEN)",
    "IllegalLocationConstraintException": "set AWS_REGION to the region where the bucket should be",
    "InvalidAccessKeyId": "check AWS_ACCESS_KEY_ID: the store does not know this key",
    "InvalidObjectState": "the object is archived: restore it in the store, then try again",
    "MetadataTooLarge": "the path that is kept as the object's source is too long: shorten it",
    "PermanentRedirect": "the bucket is in another region: set AWS_REGION to it",
    "RequestTimeTooSkewed": "set this machine's clock: it is off by more than 15 minutes",
    "XAdminUserNotFound": "check AWS_ACCESS_KEY_ID: the store does not know this key",
    "SignatureDoesNotMatch": "check AWS_SECRET_ACCESS_KEY: it is not the one of AWS_ACCESS_KEY_ID",
}
_NO_CREDENTIALS = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run it where an instance role gives access"
)
_NO_TRUST = "the certificate is not trusted here: set AWS_CA_BUNDLE to the file of the authority that issued it"
_NOT_S3 = "check AWS_ENDPOINT_URL_S3: what answers there does not speak S3"

#: Nothing in the chain gave credentials that can be used.
_CREDENTIALS = (
    vendor.CredentialRetrievalError,
    vendor.LoginError,
    vendor.MetadataRetrievalError,
    vendor.NoAuthTokenError,
    vendor.NoCredentialsError,
    vendor.PartialCredentialsError,
    vendor.SSOError,
    vendor.TokenRetrievalError,
)
_Classes = tuple[type[Exception], ...]
#: The first row that fits decides.
_BY_CLASS: tuple[tuple[_Classes, type[LfkError], str, str | None], ...] = (
    (_CREDENTIALS, AccessDenied, "no usable credentials", _NO_CREDENTIALS),
    ((vendor.SSLError,), StoreUnreachable, "no trusted connection", _NO_TRUST),
    ((ResponseParserError,), StoreUnreachable, "an answer that is not S3's", _NOT_S3),
    ((vendor.ConnectTimeoutError, vendor.ReadTimeoutError), StoreUnreachable, "no answer in time", None),
    (
        (vendor.ConnectionError, vendor.HTTPClientError, vendor.IncompleteReadError),
        StoreUnreachable,
        "no connection",
        None,
    ),
    ((vendor.BotoCoreError,), StoreError, "the request could not be made", None),
)

#: The right that each call needs, where its name is not that of the call.
_RIGHTS = {
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "CompleteMultipartUpload": "s3:PutObject",
    "CreateBucket": "s3:CreateBucket",
    "CreateMultipartUpload": "s3:PutObject",
    "DeleteObject": "s3:DeleteObject",
    "GetObject": "s3:GetObject",
    # The answer to a HEAD says no more than "forbidden", also where the object is missing and may not be listed.
    "HeadObject": "s3:GetObject (and s3:ListBucket, should it not be there)",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListObjectVersions": "s3:ListBucketVersions",
    "ListObjectsV2": "s3:ListBucket",
    "ListParts": "s3:ListMultipartUploadParts",
    "ListenNotification": "s3:ListenBucketNotification",
    "PutObject": "s3:PutObject",
    "UploadPart": "s3:PutObject",
}
#: Refusals that are about rights; the others of their class are about the keys themselves.
_NO_RIGHT = frozenset(
    {"403", "AccessDenied", "AccessForbidden", "AllAccessDisabled", "Forbidden", "UnauthorizedAccess"}
)

#: A server's message is shown, but no more of it than helps.
_SHOWN = 200


@contextmanager
def s3_border(location: Location) -> Iterator[None]:
    """Maps every botocore exception raised inside; the cause is kept."""
    try:
        yield
    except vendor.ClientError as error:
        raise _refused(error, location) from error
    except (vendor.BotoCoreError, ResponseParserError) as error:
        raise _failed(error, str(location)) from error


@contextmanager
def s3_configuration() -> Iterator[None]:
    """Maps what is wrong with the settings that a client is made from."""
    try:
        yield
    except _CREDENTIALS as error:
        raise _failed(error, "S3") from error
    except (vendor.BotoCoreError, ValueError) as error:
        raise UsageError(
            f"the S3 settings cannot be used: {error}",
            hint="check AWS_ENDPOINT_URL_S3 (a URL such as http://host:9000), AWS_REGION and AWS_PROFILE",
        ) from error


def code_of(error: vendor.ClientError) -> str:
    """The server's code, or the status where it sent none."""
    return str(error.response.get("Error", {}).get("Code") or status_of(error))


def status_of(error: vendor.ClientError) -> int:
    """The HTTP status; 0 if there was none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_unsupported(error: vendor.ClientError) -> bool:
    """Whether the server says that it lacks what was asked for."""
    return status_of(error) == 501 or code_of(error) == "NotImplemented"


def _refused(error: vendor.ClientError, location: Location) -> LfkError:
    code, status = code_of(error), status_of(error)
    cls = _BY_CODE.get(code) or _BY_STATUS.get(status)
    if cls is None:
        cls = StoreUnreachable if status >= 500 else StoreError
    answer: Any = error.response.get("Error", {})
    message = ascii(str(answer.get("Message", "")))[1:-1][:_SHOWN]
    call = f" to {error.operation_name}" if cls is AccessDenied else ""
    text = f"{location}: the store answered {code}{call}" + (f" ({message})" if message else "")
    if code in _NO_RIGHT:
        right = _RIGHTS.get(error.operation_name, error.operation_name)
        below = location if not location.key or location.key.endswith("/") else location.parent
        hint = f"these keys lack {right} below {below}; docs/access.md has what each role needs"
        return AccessDenied(text, hint=hint, lacks_right=True)
    return cls(text, hint=_HINTS.get(code))


def _failed(error: Exception, where: str) -> LfkError:
    cls, reason, hint = next(row[1:] for row in _BY_CLASS if isinstance(error, row[0]))
    return cls(f"{where}: {reason} ({type(error).__name__})", hint=hint)
