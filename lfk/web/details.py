"""What a list tells of finished transcripts beyond their names: read from the beginning of each manifest, once."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from lfk.core.addressing import Roots
from lfk.core.catalogue import Row, State
from lfk.core.errors import LfkError
from lfk.core.formats import MANIFEST
from lfk.roles.parallel import in_parallel
from lfk.stores.base import ObjectStore

#: Bytes of a manifest that hold all but its words, unless hundreds of turns come before.
_HEAD = 96 << 10
#: Manifests remembered, about 300 bytes each.
_REMEMBERED = 5_000
#: Read at a time.
_READERS = 4
_FIELDS = ("duration", "language", "words", "speakers", "no_speech")


class Details:
    """Safe for use by several threads: at worst something is read twice."""

    def __init__(self, store: ObjectStore, roots: Roots) -> None:
        self._store = store
        self._roots = roots
        self._known: OrderedDict[tuple[str, str], Mapping[str, Any]] = OrderedDict()

    def of(self, rows: list[Row]) -> list[Mapping[str, Any]]:
        """For each row what is known of its transcript; nothing for what is not done or cannot be read."""
        return list(in_parallel(self._of, rows, _READERS))

    def _of(self, row: Row) -> Mapping[str, Any]:
        if row.state is not State.DONE:
            return {}
        name = (row.key, row.etag)
        found = self._known.get(name)
        if found is None:
            try:
                found = self._read(row.key)
            except LfkError:
                # The list says what can be said; whoever opens the transcript is told why it cannot be read.
                return {}
            self._known[name] = found
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return found

    def _read(self, key: str) -> Mapping[str, Any]:
        location = self._roots.transcripts.join(f"{key}.{MANIFEST}")
        return manifest_facts(self._store.read_part(location, start=0, size=_HEAD))


def manifest_facts(head: bytes) -> Mapping[str, Any]:
    """Duration, language and counts from the first bytes of a manifest, which need not hold all of it."""
    text = head.decode("utf-8", "ignore")
    at = text.find('"lfk":')
    if at < 0:
        return {}
    try:
        found, _end = json.JSONDecoder().raw_decode(text, at + len('"lfk":'))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    facts = {name: found.get(name) for name in _FIELDS}
    return {name: value for name, value in facts.items() if isinstance(value, (int, float, str)) and _sane(value)}


def _sane(value: float | str) -> bool:
    return len(value) <= 20 if isinstance(value, str) else abs(value) < 1e12
