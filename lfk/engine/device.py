"""Where an engine computes, in what number format, and how much at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lfk.core.errors import EngineUnavailable

#: Regions of 30 s at a time. On a processor more only costs memory; on a GPU they share the weights' way through it.
_CPU_BATCH = 4
_GPU_BATCH_LIMIT = 64
#: Left free on a GPU for the other models, and what a region takes beside them with the largest model.
_GPU_RESERVE_BYTES = 4 << 30
_GPU_REGION_BYTES = 400 << 20


@dataclass(frozen=True, slots=True)
class Device:
    """``kind`` is cpu or cuda; ``index`` is the GPU's number."""

    kind: str
    index: int
    compute_type: str
    batch_size: int
    threads: int

    @property
    def name(self) -> str:
        """As torch writes it."""
        return f"cuda:{self.index}" if self.kind == "cuda" else "cpu"

    def report(self) -> dict[str, Any]:
        """For the provenance."""
        about: dict[str, Any] = {"device": self.name, "compute_type": self.compute_type, "threads": self.threads}
        if self.kind == "cuda":
            import torch

            about["gpu"] = torch.cuda.get_device_name(self.index)
            about["cudnn"] = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
            about["tf32"] = torch.backends.cuda.matmul.allow_tf32
        return about


def choose_device(config: Mapping[str, Any]) -> Device:
    """The device that ``config`` (device, compute_type, batch_size, threads, number) comes to on this machine.

    Also sets how many threads torch computes with. Engines are spread over the GPUs by their number.

    Raises:
        EngineUnavailable: it asks for a GPU that is not there, or a number format that the device has not.
    """
    import ctranslate2
    import torch

    threads = max(1, int(config.get("threads", 1)))
    torch.set_num_threads(threads)
    there = torch.cuda.is_available()
    wanted = config.get("device", "auto")
    if wanted == "cuda" and not there:
        raise EngineUnavailable("no GPU can be used here", hint="set LFK_DEVICE=cpu, or check the driver")
    kind = "cuda" if there and wanted != "cpu" else "cpu"
    index = int(config.get("number", 0)) % torch.cuda.device_count() if kind == "cuda" else 0
    compute_type = config.get("compute_type", "auto")
    if compute_type == "auto":
        compute_type = "float16" if kind == "cuda" else "int8"
    supported = ctranslate2.get_supported_compute_types(kind, index)
    if compute_type not in supported:
        raise EngineUnavailable(
            f"{kind} cannot compute in {compute_type}", hint=f"set LFK_COMPUTE_TYPE to one of {', '.join(supported)}"
        )
    return Device(kind, index, compute_type, int(config.get("batch_size", 0)) or _batch(kind, index), threads)


def _batch(kind: str, index: int) -> int:
    if kind == "cpu":
        return _CPU_BATCH
    import torch

    free, _total = torch.cuda.mem_get_info(index)
    return max(1, min(_GPU_BATCH_LIMIT, (free - _GPU_RESERVE_BYTES) // _GPU_REGION_BYTES))
