"""The location grammar: the only code that reads or writes ``s3://`` and ``file://`` texts.

Locations are raw text, never percent-decoded, so a key that contains ``%``, ``+``, ``#`` or ``?`` means exactly
itself. Refused: other schemes, ``..`` and ``.`` parts, NUL, and keys over S3's 1024 bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from lfk.core.errors import InvalidLocation

Scheme = Literal["s3", "file"]

#: S3's limit for a key, in bytes of UTF-8.
MAX_KEY_BYTES = 1024

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")
_BUCKET = re.compile(r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A parsed address. ``key`` never starts with ``/``.

    For ``s3`` the bucket holds the key; for ``file`` the bucket is empty and ``/`` + key is the absolute path.
    A location whose key is empty or ends in ``/`` stands for a prefix.
    """

    scheme: Scheme
    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}"

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rstrip("/").rpartition("/")[2]

    @property
    def parent(self) -> Location:
        """The prefix that holds it directly; that of a bucket is the bucket's own."""
        above = self.key.rstrip("/").rpartition("/")[0]
        return Location(self.scheme, self.bucket, f"{above}/" if above else "")

    def as_prefix(self) -> Location:
        """The same place as a prefix: its key is empty or ends in one ``/``."""
        return Location(self.scheme, self.bucket, self._lead)

    def join(self, relative: str) -> Location:
        """The location of ``relative`` (a checked key) below this prefix.

        Raises:
            InvalidLocation: the relative key is empty, climbs out, or makes the key too long.
        """
        return Location(self.scheme, self.bucket, check_key(self._lead + check_key(relative)))

    def contains(self, other: Location) -> bool:
        """Whether ``other`` lies below this prefix."""
        return self.scheme == other.scheme and self.bucket == other.bucket and other.key.startswith(self._lead)

    def relative(self, other: Location) -> str:
        """The key of ``other`` below this prefix.

        Raises:
            InvalidLocation: it does not lie below it.
        """
        if not self.contains(other):
            raise InvalidLocation(f"{other} is not below {self}")
        return other.key[len(self._lead) :]

    @property
    def _lead(self) -> str:
        """What the keys below this prefix begin with."""
        key = self.key.strip("/")
        return f"{key}/" if key else ""


def has_scheme(text: str) -> bool:
    """Whether ``text`` is written as ``scheme://…`` (of any scheme)."""
    return _SCHEME.match(text) is not None


def parse_location(text: str) -> Location:
    """Parse ``s3://bucket/key`` or ``file:///dir/name``; printing the result gives the text back.

    Raises:
        InvalidLocation: another scheme, no bucket, a host in ``file://``, or a key that :func:`check_key` refuses.
    """
    match = _SCHEME.match(text)
    if match is None:
        raise InvalidLocation(f"{text[:200]!r} is not of the form s3://bucket/key or file:///path")
    scheme = match.group(1).lower()
    bucket, slash, key = text[match.end() :].partition("/")
    if scheme == "s3":
        if not _BUCKET.match(bucket):
            raise InvalidLocation(f"{bucket[:80]!r} is not a bucket name")
        return Location("s3", bucket, check_key(key) if key else "")
    if scheme == "file":
        if bucket or not slash:
            raise InvalidLocation(f"{text[:200]!r}: a file location has three slashes and an absolute path")
        return Location("file", "", check_key(key.lstrip("/")) if key.strip("/") else "")
    raise InvalidLocation(f"locations of the kind {scheme!r} are not supported")


def check_key(key: str) -> str:
    """Return ``key`` if it may be an object key (relative, no climbing, storable).

    Raises:
        InvalidLocation: empty, absolute, over 1024 bytes, with NUL, lone surrogates, or a ``.`` or ``..`` part.
    """
    if not key or key.startswith("/"):
        raise InvalidLocation(f"{key[:80]!r} is not a relative key")
    if "\0" in key:
        raise InvalidLocation("a key must not contain NUL")
    try:
        size = len(key) if key.isascii() else len(key.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise InvalidLocation(
            f"{key[:80]!r} is not valid UTF-8", hint="rename the file so that its name is valid UTF-8"
        ) from error
    if size > MAX_KEY_BYTES:
        raise InvalidLocation(
            f"the key {key[:60]!r}… has {size} bytes; a store takes at most {MAX_KEY_BYTES}",
            hint="shorten the names of the file and its folders",
        )
    # Bulk senders come here several times for each reference, and few keys have a part that begins with a dot.
    if (key[0] == "." or "/." in key) and any(part in (".", "..") for part in key.split("/")):
        raise InvalidLocation(f"{key[:200]!r} contains '.' or '..' as a part")
    return key
