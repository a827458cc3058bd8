"""What a folder store knows of an object besides its bytes: one small JSON file per object, away from the object.

``<root>/.lfk/meta/<2 hex>/<62 hex>.json`` (the sha256 of the key, as keys themselves clash as file names) holds::

    {"key": "audio/a.wav", "versions": {"<ETag>": {"content_type": "audio/wav", "metadata": {"lfk-sha256": "…"}}}}

An entry counts only for the object whose ETag it bears, so a file dropped in by hand has none. While an object is
replaced, the entries of the old and the new one stand side by side: no reader ever sees one without its metadata.
A record that cannot be read counts as none; it is never an error.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field

from lfk.stores.folder_tree import Tree

#: Below the root: lfk's own records.
PRIVATE = ".lfk"
_FOLDER = (PRIVATE, "meta")
#: A record holds two entries of at most some kilobytes; more than this is not one of ours.
_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Description:
    """Content type and metadata of one object."""

    content_type: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


class Records:
    """The records below one root. Errors are ``OSError``; callers hold the store's lock while they write."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def load(self, key: str) -> dict[str, Description]:
        """Descriptions of the object at ``key`` by ETag."""
        try:
            descriptor, _state = self._tree.open_file(_parts(key))
        except (FileNotFoundError, PermissionError):
            return {}
        with os.fdopen(descriptor, "rb") as file:
            return _parse(file.read(_LIMIT))

    def save(self, key: str, versions: Mapping[str, Description]) -> None:
        """Replace the record."""
        data = json.dumps(
            {"key": key, "versions": {etag: asdict(known) for etag, known in versions.items()}}, ensure_ascii=False
        )
        *folder, name = _parts(key)
        with self._tree.folder(folder, create=True) as parent:
            fresh = f"{name}.{uuid.uuid4().hex}"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                with os.fdopen(os.open(fresh, flags, 0o666, dir_fd=parent), "w", encoding="utf-8") as file:
                    file.write(data)
                os.rename(fresh, name, src_dir_fd=parent, dst_dir_fd=parent)
            except OSError:
                with suppress(FileNotFoundError):
                    os.unlink(fresh, dir_fd=parent)
                raise

    def remove(self, key: str) -> None:
        """Drop the record, if there is one."""
        *folder, name = _parts(key)
        try:
            with self._tree.folder(folder) as parent:
                os.unlink(name, dir_fd=parent)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise


def is_private(parts: tuple[str, ...]) -> bool:
    """Whether a path below the root is a record or belongs to their keeping, and so is no object."""
    return parts[:1] == (PRIVATE,) and parts[1:2] in (("meta",), ("tmp",), ("lock",))


def _parts(key: str) -> tuple[str, ...]:
    digest = hashlib.sha256(key.encode("utf-8")).hexdigest()
    return (*_FOLDER, digest[:2], f"{digest[2:]}.json")


def _parse(data: bytes) -> dict[str, Description]:
    try:
        versions = json.loads(data)["versions"]
        return {
            str(etag): Description(
                None if known["content_type"] is None else str(known["content_type"]),
                {str(name): str(value) for name, value in known["metadata"].items()},
            )
            for etag, known in versions.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
