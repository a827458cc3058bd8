"""Fresh uploads come first, bulk work is not starved, one audio is never worked on twice at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lfk.core.admission import PASSES, Admission
from lfk.core.retry import MAX_WAIT_SECONDS, RetryPolicy


def test_lanes_share_by_weight() -> None:
    admission: Admission[str] = Admission({"fresh": 8, "bulk": 1})
    for number in range(900):
        admission.add("fresh", f"f{number}", "fresh")
        admission.add("bulk", f"b{number}", "bulk")
    started = [item[1] for _ in range(90) if (item := admission.next())]
    assert started.count("fresh") == 80
    assert started.count("bulk") == 10
    assert started[0] == "fresh"


def test_some_lanes_may_be_asked_alone() -> None:
    admission: Admission[str] = Admission({"fresh": 8, "bulk": 1})
    admission.add("bulk", "b", "bulk")
    assert admission.next(lanes=["fresh"]) is None
    admission.add("fresh", "f", "fresh")
    assert admission.next(lanes=["fresh"]) == ("f", "fresh")
    assert admission.next(lanes=["fresh"]) is None
    assert admission.next() == ("b", "bulk")


def test_an_empty_lane_saves_nothing_up() -> None:
    admission: Admission[str] = Admission({"fresh": 8, "bulk": 1})
    for number in range(50):
        admission.add("bulk", f"b{number}", "bulk")
    for _ in range(40):
        assert admission.next()
    for number in range(20):
        admission.add("fresh", f"f{number}", "fresh")
    started = [item[1] for _ in range(9) if (item := admission.next())]
    assert started.count("fresh") == 8


def test_one_audio_runs_in_order_and_one_at_a_time() -> None:
    admission: Admission[int] = Admission({"fresh": 1})
    for job in (1, 2):
        admission.add("fresh", "same", job)
    admission.add("fresh", "other", 3)
    assert admission.next() == ("same", 1)
    assert admission.next() == ("other", 3)
    assert admission.next() is None
    admission.release("same")
    assert admission.next() == ("same", 2)


def test_dropped_jobs_do_not_start() -> None:
    admission: Admission[list[int]] = Admission({"fresh": 1})
    jobs = [[1], [2], [3]]
    for job in jobs:
        admission.add("fresh", job[0], job)
    admission.drop({id(jobs[0]), id(jobs[2])})
    assert admission.next() == (2, [2])
    assert admission.next() is None


def test_loaded_models_come_first_within_limits() -> None:
    admission: Admission[int] = Admission({"fresh": 1})
    admission.add("fresh", "big", 0, "large")
    for job in range(1, 30):
        admission.add("fresh", f"k{job}", job, "tiny")
    started = [item[1] for _ in range(12) if (item := admission.next({"tiny"}))]
    assert started == [*range(1, 1 + PASSES), 0, *range(1 + PASSES, 12)]


@given(st.lists(st.sampled_from(["tiny", "base", "large"]), max_size=60))
def test_no_job_is_passed_more_than_the_limit(models: list[str]) -> None:
    admission: Admission[int] = Admission({"fresh": 1})
    for job, model in enumerate(models):
        admission.add("fresh", job, job, model)
    started: list[int] = []
    loaded: set[str] = set()
    while item := admission.next(loaded):
        started.append(item[1])
        loaded = {models[item[1]]}
        admission.release(item[0])
    assert sorted(started) == list(range(len(models)))
    first, passes = 0, 0
    for job in started:
        passes = 0 if job == first else passes + 1
        assert passes <= PASSES
        left = set(range(len(models))) - set(started[: started.index(job) + 1])
        first = min(left, default=-1)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 4)), max_size=60))
def test_everything_starts_once_and_in_order_per_key(items: list[tuple[str, int]]) -> None:
    admission: Admission[tuple[str, int, int]] = Admission({"a": 8, "b": 4, "c": 1})
    for index, (lane, key) in enumerate(items):
        admission.add(lane, (lane, key), (lane, key, index))
    started: list[tuple[str, int, int]] = []
    while item := admission.next():
        started.append(item[1])
        admission.release(item[0])
    assert sorted(started) == sorted((lane, key, index) for index, (lane, key) in enumerate(items))
    for lane, key in set(items):
        of_one = [index for one, two, index in started if (one, two) == (lane, key)]
        assert of_one == sorted(of_one)


@given(st.integers(1, 10), st.floats(0, 100), st.floats(1, 5), st.floats(0, 1))
def test_waits_grow_and_end(attempts: int, backoff: float, factor: float, chance: float) -> None:
    policy = RetryPolicy(attempts, backoff, factor)
    assert policy.wait(attempts, lambda: chance) is None
    waits = [policy.wait(begun, lambda: chance) for begun in range(1, attempts)]
    assert all(wait is not None and 0 <= wait <= MAX_WAIT_SECONDS * 1.2 + 1e-6 for wait in waits)
    assert waits == sorted(waits, key=lambda wait: wait or 0.0)


def test_a_service_may_wait_for_as_long_as_an_outage_lasts() -> None:
    """A weekend without a broker is some thousand waits: more doublings than a float can hold."""
    policy = RetryPolicy(attempts=1_000_000, backoff=1.0, factor=2.0)
    assert policy.wait(5_000, lambda: 1.0) == MAX_WAIT_SECONDS
