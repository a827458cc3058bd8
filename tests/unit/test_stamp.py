from __future__ import annotations

import os
import stat

import pytest

from lfk.core.errors import FileUnreadable
from lfk.roles.scan import stamp_of


def info(mode: int, inode: int = 7) -> os.stat_result:
    return os.stat_result((mode, inode, 1, 1, 0, 0, 100, 1, 2, 3))


def test_inodes_of_64_bits_fit_into_what_remembers_them() -> None:
    assert stamp_of(info(stat.S_IFREG, 2**64 - 1)).inode == 2**63 - 1
    assert stamp_of(info(stat.S_IFREG, 7)).inode == 7


@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFDIR, stat.S_IFCHR])
def test_only_regular_files_have_one(kind: int) -> None:
    with pytest.raises(FileUnreadable):
        stamp_of(info(kind))
