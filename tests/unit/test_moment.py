"""Points in time as people write them."""

from __future__ import annotations

import pytest

from lfk.core.errors import UsageError
from lfk.roles.moment import parse_moment

NOW = 1_800_000_000_000


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1970-01-01T00:00:01Z", 1000),
        ("1970-01-01T01:00:01+01:00", 1000),
        ("1960-01-01T00:00:00Z", 0),
        ("90s", NOW - 90_000),
        ("90m", NOW - 5_400_000),
        ("24h", NOW - 86_400_000),
        ("7d", NOW - 604_800_000),
        ("2w", NOW - 1_209_600_000),
        ("999999999w", 0),
    ],
)
def test_times_and_how_long_ago(text: str, moment: int) -> None:
    assert parse_moment(text, "LFK_SINCE", NOW) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "-1h", "1.5h", "h", "24 h", "10y", "2026-13-01", "٣h", "1h\n"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="LFK_SINCE") as caught:
        parse_moment(text, "LFK_SINCE", NOW)
    assert "24h" in caught.value.hint
