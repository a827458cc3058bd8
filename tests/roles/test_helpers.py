"""Helpers: several errands at once, all of them at an end when the caller goes on."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from lfk.roles.at_work import at_work, job_at_work
from lfk.roles.helpers import Helpers


def test_results_come_in_the_order_of_the_items() -> None:
    assert Helpers(3, "test").each(lambda number: number * 2, range(20)) == list(range(0, 40, 2))
    assert Helpers(3, "test").each(lambda number: number, []) == []


def test_errands_run_side_by_side() -> None:
    together = threading.Barrier(4)
    Helpers(3, "test").each(lambda _item: together.wait(10.0), range(4))


def test_what_is_begun_goes_on_beside_its_caller() -> None:
    helpers, free = Helpers(2, "test"), threading.Event()
    waits = helpers.begin(lambda: free.wait(10.0))
    fails = helpers.begin(lambda: 1 // 0)
    assert isinstance(fails.exception(10.0), ZeroDivisionError)
    assert not waits.done()
    free.set()
    assert waits.result(10.0) is True


def test_a_helper_is_at_what_its_caller_is_at() -> None:
    """Else its log lines would be nobody's."""
    helpers, job = Helpers(1, "test"), SimpleNamespace(event_id="lfk.audio/0/7", job_id=None)
    with at_work(job):
        assert helpers.begin(job_at_work).result(10.0) is job
        assert helpers.each(lambda _item: job_at_work(), [1, 2]) == [job, job]
    assert helpers.begin(job_at_work).result(10.0) is None


def test_a_failure_is_raised_when_all_have_ended() -> None:
    """Whoever is told of it may begin anew, and must not be met by what was left running."""
    ended: list[int] = []

    def do(number: int) -> None:
        if number == 0:
            raise ZeroDivisionError
        time.sleep(0.1)
        ended.append(number)

    helpers = Helpers(2, "test")
    with pytest.raises(ZeroDivisionError):
        helpers.each(do, range(5))
    assert sorted(ended) == [1, 2, 3, 4]
    assert helpers.each(lambda number: number, [1]) == [1]


def test_callers_share_helpers_and_get_what_is_theirs() -> None:
    helpers = Helpers(2, "test")
    with ThreadPoolExecutor(8) as callers:
        found = list(callers.map(lambda n: helpers.each(lambda i: (n, i), range(10)), range(50)))
    assert found == [[(n, i) for i in range(10)] for n in range(50)]


def test_a_process_that_ends_waits_for_none() -> None:
    script = """
import threading, time
from lfk.roles.helpers import Helpers
threading.Thread(target=lambda: Helpers(2, "test").each(time.sleep, [600, 600]), daemon=True).start()
time.sleep(0.2)
"""
    subprocess.run([sys.executable, "-c", script], timeout=60, check=True)
