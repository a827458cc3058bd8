"""Batches that fit, and GPUs that are counted without asking any."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lfk.core.errors import EngineOutOfMemory
from lfk.engine.batches import halving
from lfk.engine.machine import core_count, gpu_count, memory_bytes
from lfk.settings import Settings
from lfk.wiring.engines import worker_count


def test_a_batch_that_fits_is_not_touched() -> None:
    assert halving(lambda batch: batch, 16, what="large") == 16


def test_half_as_many_until_it_fits() -> None:
    tried: list[int] = []

    def work(batch: int) -> str:
        tried.append(batch)
        if batch > 3:
            raise RuntimeError("CUDA failed with error out of memory")
        return "done"

    assert halving(work, 24, what="large") == "done"
    assert tried == [24, 12, 6, 3]


def test_not_even_one() -> None:
    def work(batch: int) -> str:
        raise RuntimeError

    with pytest.raises(EngineOutOfMemory, match="large does not fit"):
        halving(work, 8, what="large")


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    def work(batch: int) -> str:
        raise ValueError("a mistake")

    with pytest.raises(ValueError, match="a mistake"):
        halving(work, 8, what="large")


@pytest.fixture
def devices(tmp_path: Path) -> Path:
    for name in ("nvidia0", "nvidia1", "nvidia3", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("visible", "count"), [(None, 3), ("0", 1), ("0,3", 2), ("GPU-1a,GPU-2b", 2), ("", 0), ("-1", 0), ("1,-1,2", 1)]
)
def test_gpus(devices: Path, visible: str | None, count: int) -> None:
    assert gpu_count({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}, devices) == count


def test_no_gpus(tmp_path: Path) -> None:
    (tmp_path / "null").touch()
    assert gpu_count({}, tmp_path) == 0
    assert gpu_count({}, tmp_path / "nowhere") == 0


def groups(folder: Path, **files: str) -> Path:
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="ascii")
    return folder


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        ({"cpu_DOT_max": "max 100000\n"}, 8),
        ({"cpu_DOT_max": "150000 100000\n"}, 2),
        ({"cpu_DOT_max": "20000 100000\n"}, 1),
        ({"cpu_DOT_max": "9900000 100000\n"}, 8),
        ({"cpu__cpu_DOT_cfs_quota_us": "-1\n", "cpu__cpu_DOT_cfs_period_us": "100000\n"}, 8),
        ({"cpu__cpu_DOT_cfs_quota_us": "300000\n", "cpu__cpu_DOT_cfs_period_us": "100000\n"}, 3),
        ({"cpu_DOT_max": "rubbish"}, 8),
    ],
)
def test_cores_of_a_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], cores: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: range(8), raising=False)
    assert core_count(groups(tmp_path, **files)) == cores


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"memory_DOT_max": "1073741824\n"}, 1 << 30),
        ({"memory__memory_DOT_limit_in_bytes": "536870912\n"}, 1 << 29),
        ({"memory_DOT_max": "max\n"}, None),
        ({"memory_DOT_max": str(1 << 62)}, None),
        ({}, None),
    ],
)
def test_memory_of_a_container(tmp_path: Path, files: dict[str, str], limit: int | None) -> None:
    whole = memory_bytes(tmp_path / "none")
    assert whole > 1 << 30
    assert memory_bytes(groups(tmp_path, **files)) == (limit or whole)


@pytest.mark.parametrize(
    ("cores", "gibibytes", "gpus", "asked", "engines"),
    [
        (8, 64, 0, {}, 8),
        (8, 64, 0, {"threads": 4}, 2),
        (8, 4, 0, {}, 2),
        (2, 1, 0, {}, 1),
        (8, 4, 0, {"engine": "canned"}, 8),
        (8, 4, 0, {"workers": 5}, 5),
        (64, 256, 2, {}, 2),
        (64, 256, 2, {"device": "cpu"}, 64),
        (64, 256, 2, {"workers": 3}, 3),
    ],
)
def test_as_many_engines_as_the_machine_holds(
    monkeypatch: pytest.MonkeyPatch, cores: int, gibibytes: int, gpus: int, asked: dict[str, Any], engines: int
) -> None:
    monkeypatch.setattr("lfk.engine.machine.core_count", lambda: cores)
    monkeypatch.setattr("lfk.engine.machine.memory_bytes", lambda: gibibytes << 30)
    monkeypatch.setattr("lfk.engine.machine.gpu_count", lambda _environment: gpus)
    assert worker_count(Settings(**asked)) == engines
