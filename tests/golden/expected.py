"""Where the expected renderings are and how they are kept. Run as a program, it writes them all anew:

    python -m tests.golden.expected

Read the difference before you commit it: it is what every user of the format will see.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from lfk.core.formats import Page, formats
from tests.golden.cases import CASES, LONG

HERE = Path(__file__).parent
#: The page's own style and script are files that can be read as they are; each expected page would repeat them.
_SAME_IN_ALL = {
    "html": re.compile(r"(?s)(<style>).*?(?=</style>)|(<script>)(?=\"use strict\").*(?=</script>)|('sha256-)[^']+")
}


def rendered(page: Page, name: str) -> bytes:
    """What the format makes of the page, without what is the same in all of its files."""
    content = formats()[name].render(page)
    same = _SAME_IN_ALL.get(name)
    return same.sub(lambda found: found[found.lastindex or 0], content.decode()).encode() if same else content


def path(case: str, name: str) -> Path:
    """The expected file."""
    return HERE / case / f"expected.{name}"


def digests(page: Page) -> str:
    """A line for each format, as ``sha256sum`` writes them."""
    return "".join(f"{hashlib.sha256(rendered(page, name)).hexdigest()}  {name}\n" for name in sorted(formats()))


def _write() -> None:
    for case, make in CASES.items():
        for name in formats():
            path(case, name).parent.mkdir(exist_ok=True)
            path(case, name).write_bytes(rendered(make(), name))
    for case, make in LONG.items():
        path(case, "sha256").parent.mkdir(exist_ok=True)
        path(case, "sha256").write_text(digests(make()), "utf-8")


if __name__ == "__main__":
    _write()
