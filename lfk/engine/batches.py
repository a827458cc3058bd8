"""Work in batches that the device has memory for: what is too much at once is tried again with half as much."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from lfk.core.errors import EngineOutOfMemory

log = logging.getLogger(__name__)

T = TypeVar("T")


def halving(work: Callable[[int], T], batch: int, *, what: str) -> T:
    """``work(batch)``, or with half as many as often as it raises RuntimeError, down to one.

    CTranslate2 and torch raise nothing more precise than RuntimeError when a GPU's memory is full. Any other cause
    comes again with a batch of one, so this ends in every case.

    Raises:
        EngineOutOfMemory: not even a batch of one goes through; ``what`` names the model.
    """
    while True:
        try:
            return work(batch)
        except RuntimeError as error:
            if batch <= 1:
                raise EngineOutOfMemory(f"{what} does not fit the device's memory") from error
            batch //= 2
            log.warning("%s: again with %d regions at a time", what, batch)
