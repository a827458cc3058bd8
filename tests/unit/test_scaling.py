"""The page about scaling says what its arithmetic says."""

from __future__ import annotations

import pytest

from docs import scaling


def test_the_page_is_up_to_date() -> None:
    page = scaling.PAGE.read_text(encoding="utf-8")
    made = page.partition(scaling.BEGIN)[2].partition(scaling.END)[0].strip()
    assert made == scaling.tables()


def test_ten_times_the_audio_takes_ten_times_the_machines() -> None:
    small, large = scaling.Load(1_000), scaling.Load(10_000)
    assert large.jobs == 10 * small.jobs
    machine = scaling.MACHINES[0]
    money = [float(scaling.engines(load, machine).split("|")[6].replace(",", "")) for load in (small, large)]
    assert money[1] / money[0] == pytest.approx(10, rel=0.01)


def test_machines_for_more_than_the_busy_hours_let_hardly_anybody_wait() -> None:
    tight, ample = (scaling.waiting(scaling.Load(10_000), scaling.MACHINES[2], spare) for spare in (1.1, 2.5))
    assert " h |" in tight
    assert " h |" not in ample
