"""Conditional writes on stores that honour conditions, on those that refuse them, and on those that ignore them.

The last kind is the dangerous one: it answers 200 and has overwritten. So, unless told otherwise, the first conditional
write of a process looks before it writes and then repeats itself: a store that lets the repetition pass does not honour
conditions. Such a store is then asked before each write, which leaves a gap that the log warns of.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import TypeVar

from botocore.exceptions import ClientError

from lfk.core.errors import ObjectMissing, PreconditionFailed, UsageError
from lfk.core.location import Location
from lfk.stores.base import Condition, IfAbsent, IfMatch, ObjectInfo
from lfk.stores.s3_errors import code_of, is_unsupported, s3_border, status_of
from lfk.stores.s3_objects import quoted

log = logging.getLogger(__name__)

T = TypeVar("T")

#: A write, given the headers that carry its condition. Raises botocore's exceptions.
Write = Callable[[Mapping[str, str]], T]


class Conditions:
    """How conditions reach one store. Safe for use by several threads."""

    def __init__(self, mode: str, stat: Callable[[Location], ObjectInfo]) -> None:
        """``mode``: auto, on (the store honours them) or off (it does not); ``stat``: for looking first."""
        modes: dict[str, bool | None] = {"auto": None, "on": True, "off": False}
        if mode not in modes:
            raise UsageError(f"LFK_S3_CONDITIONAL: {mode!r} is not one of auto, on and off")
        #: None while nobody knows.
        self.honoured = modes[mode]
        self._fixed = self.honoured is not None
        self._stat = stat
        self._lock = threading.Lock()

    def write(self, location: Location, condition: Condition, write: Write[T], *, repeatable: bool) -> T:
        """Write under a condition.

        Args:
            repeatable: the write is small, and may be done twice to find out what the store makes of conditions.

        Raises:
            PreconditionFailed: it does not hold.
        """
        if condition is None:
            return self._send(location, condition, write, {})
        if self.honoured is not True:
            self.look(location, condition)
        if self.honoured is False:
            return self._send(location, condition, write, {})
        result = self._send(location, condition, write, headers_of(condition))
        if self.honoured is None and repeatable:
            self._repeat(location, condition, write)
        return result

    def look(self, location: Location, condition: Condition) -> None:
        """Compare the condition with what is there now.

        Raises:
            PreconditionFailed: it does not hold.
        """
        if condition is None:
            return
        try:
            there = self._stat(location)
        except ObjectMissing as error:
            if isinstance(condition, IfMatch):
                raise _failed(location, condition) from error
            return
        if isinstance(condition, IfAbsent) or there.etag != condition.etag:
            raise _failed(location, condition)

    def learn(self, honoured: bool) -> None:
        """Note what was found out; a setting stands."""
        with self._lock:
            if self._fixed or self.honoured is honoured:
                return
            self.honoured = honoured
        if not honoured:
            log.warning(
                "this store does not honour conditional writes: lfk looks before it writes, but two machines that "
                "write the same key within the same moment may overwrite each other (LFK_S3_CONDITIONAL)"
            )

    def _send(self, location: Location, condition: Condition, write: Write[T], headers: Mapping[str, str]) -> T:
        with s3_border(location):
            try:
                return write(headers)
            except ClientError as error:
                # A condition on an object that is not there is answered with 404, but never for a missing bucket.
                lost = status_of(error) == 412 or (isinstance(condition, IfMatch) and code_of(error) == "NoSuchKey")
                if headers and lost:
                    self.learn(True)
                    raise _failed(location, condition) from error
                # Whoever has not looked must not write without the condition.
                if not headers or self.honoured is True or not is_unsupported(error):
                    raise
                self.learn(False)
            return write({})

    def _repeat(self, location: Location, condition: IfAbsent | IfMatch, write: Write[T]) -> None:
        """Write the same once more: its own first success must stand in its way."""
        if isinstance(condition, IfMatch) and self._stat(location).etag == condition.etag:
            return  # the same content has the same ETag: nothing to be learned from this one
        with s3_border(location):
            try:
                write(headers_of(condition))
            except ClientError as error:
                if status_of(error) != 412:
                    raise
                self.learn(True)
            else:
                self.learn(False)


def headers_of(condition: IfAbsent | IfMatch) -> dict[str, str]:
    """The condition as HTTP states it."""
    return {"If-None-Match": "*"} if isinstance(condition, IfAbsent) else {"If-Match": quoted(condition.etag)}


def parameters_of(headers: Mapping[str, str]) -> dict[str, str]:
    """The same as botocore's parameters."""
    return {name.replace("-", ""): value for name, value in headers.items()}


def _failed(location: Location, condition: Condition) -> PreconditionFailed:
    if isinstance(condition, IfMatch):
        return PreconditionFailed(f"{location} is no longer the object with ETag {condition.etag}")
    return PreconditionFailed(f"{location} is there already")
