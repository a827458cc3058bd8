"""Records references one by one as they come, for senders that never know what comes next: sync, the web page.

Threads that want theirs recorded while a write is under way wait for the next one, which takes all of them together;
so a slow store costs few writes, and a lone file one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

from lfk.core.addressing import AudioAddress, Roots
from lfk.core.batch import PART_ENTRIES, Entry, has_own_wishes, of_batch
from lfk.core.errors import LfkError
from lfk.core.messages import AudioReference
from lfk.roles.batches import Batches, BatchRecorder, new_batch, part_name

log = logging.getLogger(__name__)

#: Between two looks at a batch's head, in seconds: it has to be there again where somebody removed it meanwhile.
_HEAD_SECONDS = 60.0


class RollingRecorder:
    """Safe for use by several threads. Writes nothing before the first entry."""

    def __init__(self, batches: Batches, roots: Roots, kind: str, asked: Mapping[str, Any]) -> None:
        """``kind``, who sends, and ``asked`` are what people recognise the batch by."""
        self._batches = batches
        self._roots = roots
        self._recorder = BatchRecorder(batches, new_batch(kind, asked))
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._part: list[Entry] = []
        self._number = 0
        #: How much of the part is in the store.
        self._written = 0

    @property
    def batch_id(self) -> str:
        """The batch that entries have to name."""
        return self._recorder.head.batch_id

    def admit(self, reference: AudioReference, address: AudioAddress) -> AudioReference:
        """The reference as it is to be sent: of this batch and recorded, if its path alone would not bring it back.

        Raises:
            LfkError: the store's; it may not be sent then.
        """
        if not has_own_wishes(reference, address, self._roots):
            return reference
        mine = of_batch(reference, self.batch_id)
        self.record(Entry(mine))
        return mine

    def record(self, entry: Entry) -> None:
        """Returns once the entry is in the store.

        Raises:
            LfkError: the store's; the entry may be in it or not.
        """
        with self._lock:
            if len(self._part) >= PART_ENTRIES:
                self._part, self._written = [], 0
                self._number += 1
            part, number = self._part, self._number
            part.append(entry)
            place = len(part)
            self._recorder.count(entry.reference.size or 0)
        with self._writing:
            with self._lock:
                if part is self._part and self._written >= place:
                    return
                entries = list(part)
            self._note()
            self._batches.record_part(self.batch_id, part_name(number), entries, None)
            with self._lock:
                if part is self._part:
                    self._written = len(entries)

    def close(self) -> None:
        """No more will come."""
        if self._recorder.begun:
            try:
                self._recorder.note(finished=True)
            except LfkError as error:
                # What it asks for is recorded all the same; it only counts as interrupted.
                log.warning("batch %s is not noted as finished: %s", self.batch_id, error)

    def _note(self) -> None:
        if self._recorder.age >= _HEAD_SECONDS:
            self._recorder.note()
