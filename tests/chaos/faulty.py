"""What tests of a hub with misbehaving engines share: the command, the hub, and recordings that carry a fault."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.pipeline import RunningHub, tone
from tests.acceptance.command import Lfk

ROOT = Path(__file__).resolve().parents[2]


class FaultyLfk(Lfk):
    """The command with an engine that goes wrong where the audio says so; see :mod:`tests.chaos.faulty_lfk`."""

    def __init__(self, plain: Lfk) -> None:
        super().__init__(plain.folder)
        self.environ = {**plain.environ, "PYTHONPATH": str(ROOT)}

    @property
    def begun(self) -> list[tuple[str, str]]:
        """What engines have begun: the fault, ``None`` where there is none, and the engine's process id."""
        file = self.folder / "begun"
        lines = file.read_text(encoding="ascii").splitlines() if file.exists() else []
        return [(fault, pid) for fault, pid in map(str.split, lines)]

    def argv(self, arguments: tuple[str, ...] = ()) -> list[str]:
        python, _m, _lfk, *rest = super().argv(arguments)
        return [python, "-m", "tests.chaos.faulty_lfk", str(self.folder / "begun"), *rest]


@contextmanager
def hub(lfk: Lfk, temporary: Path, workers: int = 2, **environ: str) -> Iterator[RunningHub]:
    """A hub that must end as told and leave neither process nor file."""
    running = RunningHub(lfk, temporary, "--workers", str(workers), **environ)
    try:
        yield running
    finally:
        status, left = running.stop()
    assert status in (0, 1), running.notes
    assert left == []
    assert [path for path in temporary.rglob("*") if path.is_file()] == []


def recording(folder: Path, name: str, number: int, fault: str | None = None, size: int = 0) -> None:
    """A little recording below a folder, with the mark of a fault behind its samples, at least ``size`` bytes long."""
    path = folder / "simple" / "tiny" / f"{name}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    tone(path, number)
    content = path.read_bytes() + (f"fault:{fault}".encode("ascii") if fault else b"")
    path.write_bytes(content.ljust(size, b"\0"))
