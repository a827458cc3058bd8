"""Hostile media through the real decoder in its real process: each ends as samples or as one typed refusal.

A short run of the long one behind ``make fuzz``: the same bombs and disguises, fewer damaged recordings.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.fuzz.media import REFUSALS, bombs, disguises, media
from tests.fuzz.trial import canary, try_all

SEED = 20261125
COUNT = 240


@pytest.mark.slow
def test_hostile_media_end_in_samples_or_a_typed_refusal(tmp_path: Path) -> None:
    codes: Counter[str] = Counter()
    with canary() as server:
        verdicts = list(try_all(media(SEED, COUNT, server.address), tmp_path))
        assert server.calls == 0, "something that a medium named was opened"
    assert [verdict.wrong for verdict in verdicts if verdict.wrong] == []
    codes.update(verdict.code for verdict in verdicts)
    # Otherwise the generator has become tame: some damage is fatal, and most recordings survive some.
    assert len(verdicts) == COUNT
    assert set(codes) == {"done", *REFUSALS}
    assert min(codes["done"], codes["audio_undecodable"]) > COUNT // 10, codes


def test_a_seed_makes_the_same_media() -> None:
    first, second = (list(media(7, 100)) for _ in range(2))
    assert first == second
    assert [medium.content for medium in media(8, 100)] != [medium.content for medium in first]
    assert len({medium.name for medium in first}) == 100
    assert list(media(7, 10)) == first[:10]


def test_bombs_are_small() -> None:
    assert max(len(medium.content) for medium in (*bombs(), *disguises("127.0.0.1:9"))) < 3 << 20
