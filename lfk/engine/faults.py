"""Whatever libraries raise, as one of lfk's own errors, at the border of the engine's room."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from typing import TypeVar

from lfk.core.errors import EngineOutOfMemory, EngineUnavailable, LfkError, ScratchFull, StageFailed

log = logging.getLogger(__name__)

T = TypeVar("T")

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def typed(work: Callable[[], T]) -> T:
    """What ``work`` returns.

    Raises:
        LfkError: as ``work`` raised it, or what its error comes to.
    """
    try:
        return work()
    except LfkError:
        raise
    except MemoryError as error:
        raise EngineOutOfMemory("the engine has no memory left") from error
    except ImportError as error:
        log.exception("an import failed")
        raise EngineUnavailable(f"the speech engine is not installed completely: {error}") from error
    except OSError as error:
        log.exception("the engine failed")
        if error.errno in _NO_ROOM:
            raise ScratchFull("no room for the decoded audio") from error
        raise StageFailed(f"{type(error).__name__}: {error.strerror or error}") from error
    except Exception as error:
        log.exception("the engine failed")
        raise StageFailed(f"{type(error).__name__}: {error}") from error
