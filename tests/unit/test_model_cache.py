"""Loaded models in one budget: who stays, who goes, and when."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable

import pytest

from lfk.engine.model_cache import ModelCache


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """A cache, a clock, and what was loaded and unloaded."""

    def __init__(self, budget: int = 0, idle: float = 0.0) -> None:
        self.clock = Clock()
        self.loads: list[str] = []
        self.unloads: list[Hashable] = []
        self.cache: ModelCache[str] = ModelCache(
            budget=budget, idle_seconds=idle, clock=self.clock, unloaded=self.unloads.append
        )

    def load(self, name: str) -> Callable[[], str]:
        def load() -> str:
            self.loads.append(name)
            return name

        return load

    def touch(self, name: str, size: int = 1) -> None:
        self.clock.now += 1
        with self.cache.use(name, self.load(name), size) as model:
            assert model == name


def test_a_model_is_loaded_once() -> None:
    bench = Bench()
    bench.touch("a")
    bench.touch("a")
    assert bench.loads == ["a"]
    assert "a" in bench.cache


def test_the_least_recently_used_goes_when_the_budget_is_full() -> None:
    bench = Bench(budget=3)
    for name in ("a", "b", "c", "a", "d"):
        bench.touch(name)
    assert bench.unloads == ["b"]
    assert bench.cache.size == 3


def test_room_is_made_before_loading_not_after() -> None:
    bench = Bench(budget=10)
    bench.touch("a", 6)
    seen: list[int] = []
    with bench.cache.use("b", lambda: seen.append(bench.cache.size) or "b", 6):
        assert bench.unloads == ["a"]
    assert seen == [6]


def test_only_as_many_go_as_must() -> None:
    bench = Bench(budget=10)
    for name, size in (("a", 2), ("b", 5), ("c", 3)):
        bench.touch(name, size)
    bench.touch("d", 4)
    assert bench.unloads == ["a", "b"]


def test_a_model_in_use_is_never_unloaded() -> None:
    bench = Bench(budget=1, idle=1.0)
    with bench.cache.use("a", bench.load("a"), 1):
        bench.touch("b")
        bench.clock.now += 100
        bench.cache.sweep()
        bench.cache.clear()
        assert "a" not in bench.unloads
        assert "a" in bench.cache


def test_what_did_not_fit_beside_models_in_use_goes_with_the_next_load() -> None:
    bench = Bench(budget=1)
    with bench.cache.use("a", bench.load("a"), 1), bench.cache.use("b", bench.load("b"), 1):
        assert bench.cache.size == 2
    bench.touch("c")
    assert sorted(map(str, bench.unloads)) == ["a", "b"]


def test_a_model_larger_than_the_budget_is_not_loaded_anew_for_each_use() -> None:
    bench = Bench(budget=1)
    bench.touch("huge", 9)
    bench.touch("huge", 9)
    assert bench.loads == ["huge"]
    bench.touch("a")
    assert bench.unloads == ["huge"]


def test_without_a_budget_all_stay() -> None:
    bench = Bench()
    for name in "abcdef":
        bench.touch(name, 1 << 40)
    assert bench.unloads == []


def test_idle_models_go_and_the_sweep_says_when_to_come_again() -> None:
    bench = Bench(idle=10.0)
    assert bench.cache.sweep() is None
    bench.touch("a")  # at 1
    bench.clock.now = 5
    bench.touch("b")  # at 6
    assert bench.cache.sweep() == pytest.approx(5.0)
    bench.clock.now = 11
    assert bench.cache.sweep() == pytest.approx(5.0)
    assert bench.unloads == ["a"]
    bench.clock.now = 16
    assert bench.cache.sweep() is None
    assert bench.unloads == ["a", "b"]


def test_idle_counts_from_the_end_of_the_last_use() -> None:
    bench = Bench(idle=10.0)
    with bench.cache.use("a", bench.load("a"), 1):
        bench.clock.now = 100
    bench.clock.now = 109
    bench.cache.sweep()
    assert "a" in bench.cache


def test_without_a_limit_idle_models_stay() -> None:
    bench = Bench()
    bench.touch("a")
    bench.clock.now = 1e9
    assert bench.cache.sweep() is None
    assert "a" in bench.cache


def test_what_fails_to_load_leaves_nothing_behind() -> None:
    bench = Bench(budget=1)

    def fail() -> str:
        raise MemoryError

    with pytest.raises(MemoryError), bench.cache.use("a", fail, 1):
        pass
    assert bench.cache.size == 0
    bench.touch("a")
    assert bench.loads == ["a"]


def test_an_error_in_the_block_gives_the_model_back() -> None:
    bench = Bench(idle=1.0)
    with pytest.raises(ValueError, match="job"), bench.cache.use("a", bench.load("a"), 1):
        raise ValueError("job")
    bench.clock.now += 2
    bench.cache.sweep()
    assert bench.unloads == ["a"]


def test_threads_that_ask_at_once_share_one_load() -> None:
    bench = Bench()
    started, go = threading.Event(), threading.Event()
    got: list[str] = []

    def slow() -> str:
        bench.loads.append("a")
        started.set()
        go.wait(5)
        return "a"

    def work() -> None:
        with bench.cache.use("a", slow, 1) as model:
            got.append(model)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert started.wait(5)
    go.set()
    for thread in threads:
        thread.join(5)
    assert got == ["a"] * 8
    assert bench.loads == ["a"]


def test_a_thread_that_waited_for_a_load_that_failed_loads_itself() -> None:
    bench = Bench()
    started, go = threading.Event(), threading.Event()
    errors: list[str] = []

    def fail() -> str:
        started.set()
        go.wait(5)
        raise OSError("no")

    def first() -> None:
        try:
            with bench.cache.use("a", fail, 1):
                pass
        except OSError as error:
            errors.append(str(error))

    def second() -> None:
        with bench.cache.use("a", bench.load("a"), 1):
            pass

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    assert started.wait(5)
    threads[1].start()
    go.set()
    for thread in threads:
        thread.join(5)
    assert errors == ["no"]
    assert bench.loads == ["a"]
    assert bench.cache.size == 1
