"""The truth table of sync, row by row, and what holds for every combination of facts."""

from __future__ import annotations

from itertools import product

import pytest

from lfk.core.sync_plan import Action, Known, Remote, Stamp, decide, needs_hash

HERE = "alpha:0123456789abcdef"
STAMP = Stamp(size=100, modified=10, changed=11, inode=7)
TOUCHED = Stamp(size=100, modified=20, changed=21, inode=7)
ASKED = "request"


def known(*, stamp: Stamp = STAMP, sha256: str = "aa", etag: str = "e1", confirmed: str = ASKED) -> Known:
    return Known(stamp, "s3://b/k", sha256, etag, None, confirmed)


def remote(*, size: int = 100, etag: str = "e1", sha256: str | None = "aa", source: str | None = HERE) -> Remote:
    return Remote(size, etag, None, sha256, source)


def action(at: Known | None, there: Remote | None, sha256: str | None = None, stamp: Stamp = STAMP) -> Action:
    return decide(stamp, at, there, sha256, source=HERE, request=ASKED).action


@pytest.mark.parametrize(
    ("at", "there", "sha256", "stamp", "wanted"),
    [
        # nothing there
        (None, None, None, STAMP, Action.UPLOAD),
        (known(), None, None, STAMP, Action.UPLOAD),
        # same content
        (known(), remote(), None, STAMP, Action.SKIP),
        (known(confirmed=""), remote(), None, STAMP, Action.REFER),
        (known(confirmed="another request"), remote(), None, STAMP, Action.REFER),
        (None, remote(), "aa", STAMP, Action.REFER),
        (known(), remote(), "aa", TOUCHED, Action.SKIP),
        (known(), remote(etag="e2"), None, STAMP, Action.REFER),
        (None, remote(source="beta:1"), "aa", STAMP, Action.REFER),
        (known(), remote(sha256=None, source=None), None, STAMP, Action.SKIP),
        # other content, ours
        (known(), remote(), "bb", TOUCHED, Action.UPLOAD),
        (None, remote(size=99), None, STAMP, Action.UPLOAD),
        (known(), remote(etag="e2", sha256="cc"), None, STAMP, Action.UPLOAD),
        (None, remote(sha256=None), None, STAMP, Action.UPLOAD),
        # other content, not ours
        (None, remote(source="beta:1"), "bb", STAMP, Action.CONFLICT),
        (None, remote(source=None), "bb", STAMP, Action.CONFLICT),
        (None, remote(size=99, source="beta:1"), None, STAMP, Action.CONFLICT),
        (None, remote(sha256=None, source=None), None, STAMP, Action.CONFLICT),
        (known(), remote(source="beta:1"), "bb", TOUCHED, Action.CONFLICT),
    ],
)
def test_table(at: Known | None, there: Remote | None, sha256: str | None, stamp: Stamp, wanted: Action) -> None:
    assert action(at, there, sha256, stamp) is wanted


def test_an_upload_replaces_only_the_very_object_that_was_looked_at() -> None:
    assert decide(STAMP, None, None, None, source=HERE, request=ASKED).replaces is None
    assert decide(STAMP, None, remote(size=9, etag="e9"), None, source=HERE, request=ASKED).replaces == "e9"


@pytest.mark.parametrize(
    ("at", "there", "stamp", "wanted"),
    [
        (None, None, STAMP, False),
        (None, remote(), STAMP, True),
        (None, remote(size=99), STAMP, False),
        (None, remote(sha256=None), STAMP, False),
        (known(), remote(), STAMP, False),
        (known(), remote(etag="e2"), STAMP, False),
        (known(), remote(), TOUCHED, True),
    ],
)
def test_a_file_is_read_only_where_that_can_decide(
    at: Known | None, there: Remote | None, stamp: Stamp, wanted: bool
) -> None:
    assert needs_hash(stamp, at, there) is wanted


def test_for_all_facts_nothing_foreign_is_overwritten_and_nothing_unconfirmed_is_skipped() -> None:
    caches = [None, *(known(sha256=s, etag=e, confirmed=c) for s, e, c in product("ab", "ef", ("", ASKED)))]
    objects = [remote(size=n, etag=e, sha256=s, source=w)
               for n, e, s, w in product((99, 100), "ef", ("a", "b", None), (HERE, "beta:1", None))]  # fmt: skip
    for at, there, stamp, content in product(caches, objects, (STAMP, TOUCHED), "ab"):
        sha256 = content if needs_hash(stamp, at, there) else None
        decision = decide(stamp, at, there, sha256, source=HERE, request=ASKED)
        if decision.action is Action.UPLOAD:
            assert there.source == HERE
            assert decision.replaces == there.etag
        if decision.action is Action.SKIP:
            assert at is not None
            assert at.confirmed == ASKED
            assert at.etag == there.etag
