"""This machine's own files, disk and commands."""

from __future__ import annotations

from lfk.core.errors.base import Kind, LfkError, Suspect


class CommandFailed(LfkError):
    """A command of the user's own (``--exec``) that did not succeed."""

    code = "command_failed"
    hint = "run the command by hand; its announcement will not come again by itself"


class FileUnreadable(LfkError):
    """A local file that is gone, not a file, or not ours to read."""

    code = "file_unreadable"
    hint = "check that it is there, is a file, and may be read"


class ScratchFull(LfkError):
    """The hub's own scratch folder has no room."""

    code = "scratch_full"
    kind = Kind.TRANSIENT
    suspect = Suspect.SCRATCH
    hint = "make room in MAIN_NODE_TEMP_FOLDER, or lower LFK_SCRATCH_BYTES"
